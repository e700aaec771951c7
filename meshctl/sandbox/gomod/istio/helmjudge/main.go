// Command helmjudge prints what Helm makes of the chart in a folder, as `helm template` would.
package main

import (
	"fmt"
	"os"
	"sort"

	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	loader "helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

func main() {
	if err := render(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func render(folder string) error {
	chart, err := loader.LoadDir(folder)
	if err != nil {
		return err
	}
	if err := chart.Validate(); err != nil {
		return err
	}
	options := common.ReleaseOptions{Name: "mesh", Namespace: "istio-system", Revision: 1, IsInstall: true}
	values, err := commonutil.ToRenderValues(chart, map[string]any{}, options, common.DefaultCapabilities)
	if err != nil {
		return err
	}
	files, err := engine.Render(chart, values)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(files[name])
	}
	return nil
}
