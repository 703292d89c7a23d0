package pretrain_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "pretrain/"
	root     = "." // the package for other programs, in the top folder
	gorgonia = "gorgonia.org/gorgonia"
)

// layers are the packages of the house from the ground up. A package imports its own layer and those below, never
// those above.
var layers = [][]string{
	{"internal"},
	{"data", "metrics", "checkpoints", "sample"},
	{"look", "page"},
	{"nn"},
	{"losses", "backbone"},
	{"pretext"},
	{"train", "eval", "export", "search", "layout", "view"},
	{"configs"},
	{"run", "bench", "history"},
	{"watch"},
	{"cmd", root, "docs"},
}

// leaves need no other part of the house but internal, and no graph.
var leaves = []string{"data", "metrics", "checkpoints", "sample"}

// graphUsers may name gorgonia, but of it only the type Node: they build graphs with package nn.
var graphUsers = []string{"backbone", "bench", "eval", "losses", "pretext", "train"}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports, Deps   []string
}

func (p goPackage) part() string { return partOf(p.ImportPath) }

// partOf is the top folder of a package of this module; empty for others.
func partOf(path string) string {
	if path == strings.TrimSuffix(module, "/") {
		return root
	}
	path, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	part, _, _ := strings.Cut(path, "/")
	return part
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		if p.part() != "" {
			packages = append(packages, p)
		}
	}
}

func TestImportsRunOneWay(t *testing.T) {
	layer := func(part string) int {
		return slices.IndexFunc(layers, func(parts []string) bool { return slices.Contains(parts, part) })
	}
	for _, p := range listPackages(t) {
		from := layer(p.part())
		if from < 0 {
			t.Errorf("%s is in no layer: add it to layers", p.ImportPath)
		}
		for _, path := range p.Imports {
			to := partOf(path)
			if to == "" || to == p.part() {
				continue
			}
			if layer(to) > from {
				t.Errorf("%s imports %s, which stands above it", p.ImportPath, path)
			}
			if slices.Contains(leaves, p.part()) && to != "internal" {
				t.Errorf("%s imports %s: a leaf imports internal only", p.ImportPath, path)
			}
		}
	}
}

func TestGorgoniaStaysInside(t *testing.T) {
	for _, p := range listPackages(t) {
		part := p.part()
		if slices.Contains(leaves, part) && slices.Contains(p.Deps, gorgonia) {
			t.Errorf("%s depends on gorgonia: leaves must not", p.ImportPath)
		}
		if part == "nn" || !slices.Contains(p.Imports, gorgonia) {
			continue
		}
		if !slices.Contains(graphUsers, part) {
			t.Errorf("%s imports gorgonia: only nn and, for the type Node, %v may", p.ImportPath, graphUsers)
			continue
		}
		for _, file := range p.GoFiles {
			checkOnlyNode(t, filepath.Join(p.Dir, file))
		}
	}
}

// checkOnlyNode reports every use of gorgonia in a file other than the type Node.
func checkOnlyNode(t *testing.T, file string) {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok && name.Name == "G" && selector.Sel.Name != "Node" {
				t.Errorf("%s: G.%s: use package nn instead", files.Position(selector.Pos()), selector.Sel.Name)
			}
		}
		return true
	})
	for _, spec := range tree.Imports {
		if spec.Path.Value == `"`+gorgonia+`"` && (spec.Name == nil || spec.Name.Name != "G") {
			t.Errorf("%s: import gorgonia as G", files.Position(spec.Pos()))
		}
	}
}
