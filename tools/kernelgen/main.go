// Command kernelgen writes the assembly of packages internal/kernel and internal/pixel: one pair of files (NAME_amd64.s
// and its Go declarations NAME_amd64.go) for each entry of files. Run it through go generate in the package.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// file is a generated pair of files and the function that fills them.
type file struct {
	name string
	emit func(*build.Context)
}

// files are those of each package.
var files = map[string][]file{"kernel": kernelFiles, "pixel": pixelFiles}

var pixelFiles = []file{
	{"dct", pixelLoops(emitDCT)},
	{"colour", pixelLoops(emitColour)},
	{"resampling", pixelLoops(emitResampling)},
}

var kernelFiles = []file{
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
	dir := flag.String("dir", ".", "directory of the package, where the files are written")
	flag.Parse()
	if err := generate(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "kernelgen:", err)
		os.Exit(1)
	}
}

// generate writes all files of the package in a directory, which has its name.
func generate(dir string) error {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	name := filepath.Base(whole)
	if files[name] == nil {
		return fmt.Errorf("there is no assembly for package %s: -dir must name one of %s",
			name, strings.Join(slices.Sorted(maps.Keys(files)), ", "))
	}
	for _, f := range files[name] {
		if err := write(filepath.Join(dir, f.name+"_amd64"), name, f.emit); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// write compiles what emit declares and writes path.s and path.go of a package.
func write(path, name string, emit func(*build.Context)) error {
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
	config := printer.Config{Name: "tools/kernelgen", Pkg: name}
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
