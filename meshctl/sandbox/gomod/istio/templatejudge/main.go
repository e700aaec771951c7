// Command templatejudge runs text/template with sprig on many small templates.
//
// It reads one JSON object a line, {"template": text, "data": any, "missingkey": option}, and writes
// one a line for each: {"output": base64} or {"error": text}. Whole numbers in the data are int64,
// others float64.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

type question struct {
	Template   string `json:"template"`
	Data       any    `json:"data"`
	MissingKey string `json:"missingkey"`
}

type answer struct {
	Output []byte `json:"output"`
	Error  string `json:"error,omitempty"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := out.Encode(judge(line)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		if err != nil {
			return
		}
	}
}

func judge(line []byte) (verdict answer) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict = answer{Error: fmt.Sprintf("panic: %v", cause)}
		}
	}()
	asked := question{}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&asked); err != nil {
		return answer{Error: "bad question: " + err.Error()}
	}
	parsed := template.New("judged").Funcs(sprig.TxtFuncMap())
	if asked.MissingKey != "" {
		parsed = parsed.Option("missingkey=" + asked.MissingKey)
	}
	parsed, err := parsed.Parse(asked.Template)
	if err != nil {
		return answer{Error: err.Error()}
	}
	output := bytes.Buffer{}
	if err := parsed.Execute(&output, numbered(asked.Data)); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Output: output.Bytes()}
}

// numbered gives the numbers of decoded data their Go types.
func numbered(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		fraction, _ := value.Float64()
		return fraction
	case []any:
		for i := range value {
			value[i] = numbered(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = numbered(value[key])
		}
	}
	return value
}
