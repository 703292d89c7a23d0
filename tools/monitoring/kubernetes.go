package main

import (
	"bytes"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// ruleHead is the object around the rules, of the Prometheus Operator's API monitoring.coreos.com/v1. An operator takes
// up the objects that its ruleSelector chooses: add the labels that yours asks for.
const ruleHead = `# Written by "make generate" from deploy/prometheus/rules, where every rule's reason stands.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: pretrain
  labels:
    app.kubernetes.io/name: pretrain
`

// ruleFile is a rule file of Prometheus; its groups are kept as they are.
type ruleFile struct {
	Groups []yaml.Node `yaml:"groups"`
}

// prometheusRule puts the groups of plain rule files into one object for Kubernetes.
func prometheusRule(paths ...string) ([]byte, error) {
	var all ruleFile
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var file ruleFile
		if err := yaml.Unmarshal(content, &file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all.Groups = append(all.Groups, file.Groups...)
	}
	for i := range all.Groups {
		dropComments(&all.Groups[i])
	}
	text := bytes.NewBufferString(ruleHead)
	encoder := yaml.NewEncoder(text)
	encoder.SetIndent(2)
	err := encoder.Encode(map[string]ruleFile{"spec": all})
	return text.Bytes(), err
}

// dropComments leaves the reasons of rules where they are kept.
func dropComments(node *yaml.Node) {
	node.HeadComment, node.LineComment, node.FootComment = "", "", ""
	for _, child := range node.Content {
		dropComments(child)
	}
}
