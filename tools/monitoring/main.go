// Command monitoring writes what is generated of deploy: the dashboards of Grafana from dashboards.go, and the Prometheus
// rules as an object of the Prometheus Operator, for Kubernetes.
//
//	go run ./monitoring ../deploy
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: monitoring DEPLOY: name the folder that holds prometheus, grafana and kubernetes")
	}
	files, err := generate(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate makes the files below the folder deploy, by their paths.
func generate(deploy string) (files map[string][]byte, err error) {
	files = map[string][]byte{}
	for _, b := range boards {
		if files[filepath.Join(deploy, "grafana", b.file)], err = b.json(); err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", b.title, err)
		}
	}
	rules := filepath.Join(deploy, "prometheus", "rules")
	files[filepath.Join(deploy, "kubernetes", "prometheusrule.yaml")], err = prometheusRule(
		filepath.Join(rules, "recording.yml"), filepath.Join(rules, "alerts.yml"))
	return files, err
}
