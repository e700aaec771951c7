// Command injectjudge puts workloads and gateways through istiod's own injector, many in one run.
//
// It reads one JSON document on standard input: named sets of templates, and cases. Every case is
// run with every set. It writes a JSON list with, for every case, what each set made of it:
// documents, or the error istiod would have given.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/gatewaycommon"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	commonfeatures "istio.io/istio/pkg/features"
	"istio.io/istio/pkg/kube/inject"
	"istio.io/istio/pkg/kube/multicluster"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/test/util/tmpl"
	"istio.io/istio/pkg/test/util/yml"
)

type request struct {
	Templates map[string]map[string]string `json:"templates"`
	Cases     []testCase                   `json:"cases"`
}

// testCase is a workload (Object), one template run on its own (Template and Object, a Pod), a gateway
// (Template and Gateway), an AdmissionReview for the webhook with this configuration (Review and Config), or
// an object that is only to be read and written again (Plain).
type testCase struct {
	Name       string          `json:"name"`
	Values     string          `json:"values"`
	Mesh       string          `json:"mesh"`
	Revision   string          `json:"revision"`
	Native     bool            `json:"native"`
	Compliance string          `json:"compliance"`
	UID        int64           `json:"uid"`
	GID        int64           `json:"gid"`
	Template   string          `json:"template"`
	Object     json.RawMessage `json:"object"`
	Gateway    *gatewayInput   `json:"gateway"`
	Config     json.RawMessage `json:"config"`
	Review     json.RawMessage `json:"review"`
	Plain      json.RawMessage `json:"plain"`
}

type gatewayInput struct {
	Object         gateway.Gateway      `json:"object"`
	Ports          []corev1.ServicePort `json:"ports"`
	ServiceType    corev1.ServiceType   `json:"serviceType"`
	DeploymentName string               `json:"deploymentName"`
	ServiceAccount string               `json:"serviceAccount"`
	Controller     string               `json:"controller"`
	ClusterID      string               `json:"clusterID"`
	KubeVersion    int                  `json:"kubeVersion"`
	Labels         map[string]string    `json:"labels"`
	Annotations    map[string]string    `json:"annotations"`
}

// gatewayData has the fields the gateway deployment controller hands to its templates.
type gatewayData struct {
	gatewaycommon.TemplateInput

	ProxyImage        string
	AgentgatewayImage string
	ProxyConfig       *meshconfig.ProxyConfig
	MeshConfig        *meshconfig.MeshConfig
	Values            map[string]any
}

type verdict struct {
	Documents []any  `json:"documents,omitempty"`
	Error     string `json:"error,omitempty"`
}

func main() {
	options := log.DefaultOptions()
	options.SetDefaultOutputLevel(log.OverrideScopeName, log.NoneLevel)
	if err := log.Configure(options); err != nil {
		fail(err)
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	asked := request{}
	if err := json.Unmarshal(input, &asked); err != nil {
		fail(err)
	}
	sets := map[string]inject.Templates{}
	for name, raw := range asked.Templates {
		parsed, err := inject.ParseTemplates(raw)
		if err != nil {
			fail(fmt.Errorf("%s: %v", name, err))
		}
		sets[name] = parsed
	}
	answers := make([]map[string]verdict, 0, len(asked.Cases))
	for _, each := range asked.Cases {
		answer := map[string]verdict{}
		for name, templates := range sets {
			answer[name] = judge(each, templates)
		}
		answers = append(answers, answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func judge(asked testCase, templates inject.Templates) (answer verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = verdict{Error: fmt.Sprintf("panic: %v", cause)}
		}
	}()
	documents, err := run(asked, templates)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{Documents: documents}
}

func run(asked testCase, templates inject.Templates) ([]any, error) {
	values, err := inject.NewValuesConfig(asked.Values)
	if err != nil {
		return nil, err
	}
	meshConfig, err := mesh.ApplyMeshConfigDefaults(asked.Mesh)
	if err != nil {
		return nil, err
	}
	commonfeatures.CompliancePolicy = asked.Compliance
	features.EnableNativeSidecars = features.NativeSidecarModeDisabled
	if asked.Native {
		features.EnableNativeSidecars = features.NativeSidecarModeEnabled
	}
	switch {
	case asked.Plain != nil:
		object, err := inject.FromRawToObject(asked.Plain)
		return []any{object}, err
	case asked.Review != nil:
		return admit(asked, templates, meshConfig)
	case asked.Gateway != nil:
		return deploy(asked, templates[asked.Template], values, meshConfig)
	case asked.Template != "":
		return execute(asked, templates[asked.Template], values, meshConfig)
	default:
		return into(asked, templates, values, meshConfig)
	}
}

// into is what `istioctl kube-inject` and the webhook do.
func into(
	asked testCase, templates inject.Templates, values inject.ValuesConfig, meshConfig *meshconfig.MeshConfig,
) ([]any, error) {
	object, err := inject.FromRawToObject(asked.Object)
	if err != nil {
		return nil, err
	}
	injected, err := inject.IntoObject(nil, templates, values, asked.Revision, meshConfig, object, func(string) {})
	if err != nil {
		return nil, err
	}
	return []any{injected}, nil
}

// fixed is the configuration of a webhook that nobody changes.
type fixed struct {
	config inject.Config
	values string
}

func (f *fixed) SetHandler(func(*inject.Config, string) error) {}

func (f *fixed) Run(<-chan struct{}) {}

func (f *fixed) Get() (*inject.Config, string, error) {
	return &f.config, f.values, nil
}

// admit is what the webhook answers to an AdmissionReview.
func admit(asked testCase, templates inject.Templates, meshConfig *meshconfig.MeshConfig) ([]any, error) {
	config, err := inject.UnmarshalConfig(asked.Config)
	if err != nil {
		return nil, err
	}
	config.Templates = templates
	env := model.Environment{Watcher: meshwatcher.NewTestWatcher(meshConfig), ConfigStore: model.NewFakeStore()}
	env.SetPushContext(&model.PushContext{ProxyConfigs: model.GetProxyConfigs(env.ConfigStore, meshConfig)})
	mux := http.NewServeMux()
	if _, err := inject.NewWebhook(inject.WebhookParameters{
		Watcher:      &fixed{config, asked.Values},
		Env:          &env,
		Mux:          mux,
		Revision:     asked.Revision,
		MultiCluster: multicluster.NewFakeController(),
	}); err != nil {
		return nil, err
	}
	question := httptest.NewRequest(http.MethodPost, "/inject", bytes.NewReader(asked.Review))
	question.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, question)
	var document any
	err = json.Unmarshal(answer.Body.Bytes(), &document)
	return []any{document}, err
}

// execute runs a template with a namespace's own user and group, which only a webhook would see.
func execute(
	asked testCase, parsed *template.Template, values inject.ValuesConfig, meshConfig *meshconfig.MeshConfig,
) ([]any, error) {
	pod := corev1.Pod{}
	if err := yaml.Unmarshal(asked.Object, &pod); err != nil {
		return nil, err
	}
	proxyConfig := meshConfig.GetDefaultConfig()
	return documents(parsed, inject.SidecarTemplateData{
		TypeMeta:                 metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		DeploymentMeta:           types.NamespacedName{Name: pod.Name, Namespace: pod.Namespace},
		ObjectMeta:               pod.ObjectMeta,
		Spec:                     pod.Spec,
		ProxyConfig:              proxyConfig,
		MeshConfig:               meshConfig,
		Values:                   values.Map(),
		Revision:                 asked.Revision,
		NativeSidecars:           asked.Native,
		ProxyImage:               inject.ProxyImage(values.Struct(), proxyConfig.Image, pod.Annotations),
		ProxyInitImage:           inject.ProxyInitImage(values.Struct(), pod.Annotations),
		ProxyUID:                 asked.UID,
		ProxyGID:                 asked.GID,
		InboundTrafficPolicyMode: inject.InboundTrafficPolicyMode(meshConfig),
		CompliancePolicy:         asked.Compliance,
	})
}

// deploy is what the gateway deployment controller renders for a Gateway.
func deploy(
	asked testCase, parsed *template.Template, values inject.ValuesConfig, meshConfig *meshconfig.MeshConfig,
) ([]any, error) {
	input := asked.Gateway
	proxyConfig := meshConfig.GetDefaultConfig()
	return documents(parsed, gatewayData{
		TemplateInput: gatewaycommon.TemplateInput{
			Gateway:                   &input.Object,
			GatewayClass:              string(input.Object.Spec.GatewayClassName),
			DeploymentName:            input.DeploymentName,
			ServiceAccount:            input.ServiceAccount,
			Ports:                     input.Ports,
			ServiceType:               input.ServiceType,
			ClusterID:                 input.ClusterID,
			KubeVersion:               input.KubeVersion,
			Revision:                  asked.Revision,
			NativeSidecars:            asked.Native,
			ProxyUID:                  asked.UID,
			ProxyGID:                  asked.GID,
			CompliancePolicy:          asked.Compliance,
			InfrastructureLabels:      input.Labels,
			InfrastructureAnnotations: input.Annotations,
			GatewayNameLabel:          "gateway.networking.k8s.io/gateway-name",
			ControllerLabel:           input.Controller,
		},
		ProxyImage:        inject.ProxyImage(values.Struct(), proxyConfig.GetImage(), input.Object.Annotations),
		AgentgatewayImage: inject.AgentgatewayImage(values.Struct(), proxyConfig.GetImage(), input.Object.Annotations),
		ProxyConfig:       proxyConfig,
		MeshConfig:        meshConfig,
		Values:            values.Map(),
	})
}

func documents(parsed *template.Template, data any) ([]any, error) {
	text, err := tmpl.Execute(parsed, data)
	if err != nil {
		return nil, err
	}
	found := []any{}
	for _, part := range yml.SplitString(text) {
		var document any
		if err := yaml.Unmarshal([]byte(part), &document); err != nil {
			return nil, err
		}
		found = append(found, document)
	}
	return found, nil
}
