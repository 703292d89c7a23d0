package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// TestTreeIsUpToDate compares what the generator writes with what stands in the packages.
func TestTreeIsUpToDate(t *testing.T) {
	for name, all := range files {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := generate(dir); err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			for _, suffix := range []string{"_amd64.s", "_amd64.go"} {
				compareWithTree(t, filepath.Join(dir, f.name+suffix), filepath.Join("../../internal", name, f.name+suffix))
			}
		}
	}
}

func compareWithTree(t *testing.T, written, kept string) {
	t.Helper()
	want, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(kept)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what the generator writes (%v): run make generate", kept, err)
	}
}

// TestGenerateRefuses: a package without assembly gets no files, and what cannot be written is named.
func TestGenerateRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kernels")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := generate(dir)
	if err == nil || !strings.Contains(err.Error(), "package kernels: -dir must name one of kernel, pixel") {
		t.Errorf("the error is %v, want the packages that there are", err)
	}
	missing := filepath.Join(dir, "nowhere", "pixel")
	if err := generate(missing); err == nil || !strings.HasPrefix(err.Error(), "dct: ") || !strings.Contains(err.Error(), missing) {
		t.Errorf("the error is %v, want the file that cannot be written", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
}

// TestWriteRefuses what does not assemble: avo's own complaints come back, and nothing is written.
func TestWriteRefuses(t *testing.T) {
	for want, emit := range map[string]func(*build.Context){
		"undefined: nothing": func(c *build.Context) { c.Function("f"); c.SignatureExpr("func(x nothing)"); c.RET() },
		"wrongBF16: operand (AX) of VFMADD231PS is no register": func(c *build.Context) {
			c.Function("wrong" + dotSuffix)
			c.SignatureExpr("func(x *byte)")
			c.VFMADD231PS(operand.Mem{Base: reg.RAX}, reg.Z1, reg.Z2)
			c.RET()
		},
	} {
		path := filepath.Join(t.TempDir(), "f_amd64")
		err := write(path, "kernel", emit)
		if _, found := os.Stat(path + ".s"); err == nil || !strings.Contains(err.Error(), want) || found == nil {
			t.Errorf("the error is %v, want %q, and no file", err, want)
		}
	}
}
