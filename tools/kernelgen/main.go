// Command kernelgen writes the assembly of package internal/kernel: one pair of files (NAME_amd64.s and its Go
// declarations NAME_amd64.go) for each entry of files. Run it through go generate in that package.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// files names the generated files and the functions that fill them.
var files = []struct {
	name string
	emit func(*build.Context)
}{
	{"spin", emitSpin},
	{"tile", emitTiles},
	{"amx", emitAMX},
	{"move", emitMoves},
	{"peak", emitPeak},
	{"convert", vectorLoops(emitConverts)},
	{"elementwise", vectorLoops(emitElementwise)},
	{"gelu", vectorLoops(emitGELU)},
	{"layernorm", vectorLoops(emitLayerNorm)},
	{"batchnorm", vectorLoops(emitBatchNorm)},
	{"pool", vectorLoops(emitPool)},
	{"crossentropy", vectorLoops(emitSoftmax)},
	{"reduce", vectorLoops(emitReductions)},
	{"optimizer", vectorLoops(emitOptimizers)},
	{"winograd", vectorLoops(emitWinograd)},
}

func main() {
	dir := flag.String("dir", ".", "directory of package kernel, where the files are written")
	flag.Parse()
	for _, f := range files {
		if err := write(filepath.Join(*dir, f.name+"_amd64"), f.emit); err != nil {
			fmt.Fprintf(os.Stderr, "kernelgen: %s: %v\n", f.name, err)
			os.Exit(1)
		}
	}
}

// write compiles what emit declares and writes path.s and path.go.
func write(path string, emit func(*build.Context)) error {
	file, err := compile(emit)
	if err != nil {
		return err
	}
	if err := encodeDots(file); err != nil {
		return err
	}
	if err := encodeTiles(file); err != nil {
		return err
	}
	config := printer.Config{Name: "tools/kernelgen", Pkg: "kernel"}
	if err := print(path+".s", printer.NewGoAsm(config), file); err != nil {
		return err
	}
	return print(path+".go", printer.NewStubs(config), file)
}

// compile allocates the registers of what emit declares.
func compile(emit func(*build.Context)) (*ir.File, error) {
	context := build.NewContext()
	context.ConstraintExpr("!noasm")
	emit(context)
	file, err := context.Result()
	if err != nil {
		return nil, err
	}
	return file, pass.Compile.Execute(file)
}

func print(path string, p printer.Printer, file *ir.File) error {
	text, err := p.Print(file)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
