package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pretrain/backbone"
	"pretrain/run"
	"pretrain/sample"
)

// shell runs a script as a program; $0 is its input, $1 the folder that it leaves its features in.
func shell(body string) func(input, out string) *exec.Cmd {
	return func(input, out string) *exec.Cmd { return exec.Command("/bin/sh", "-c", body, input, out) }
}

// TestProgram: a program gets the numbers in order, as little-endian bytes of their own type, and what it leaves is read by
// name; maps are left out.
func TestProgram(t *testing.T) {
	o := options{scratch: t.TempDir()}
	for name, test := range map[string]struct {
		pixels any
		want   []float32
	}{
		"floats": {[]float32{1, -0.5, float32(math.Inf(1))}, []float32{1, -0.5, float32(math.Inf(1))}},
		"bytes":  {[]byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}, []float32{1, -2}},
	} {
		copies := shell(`for name in pooled layer_1 map; do cp "$0" "$1/$name.f32"; done; echo x >"$1/notes"`)
		got, err := o.program(test.pixels, copies)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got) != 2 || !slices.Equal(got["pooled"], test.want) || !slices.Equal(got["layer_1"], test.want) {
			t.Errorf("%s: %v, want %v twice", name, got, test.want)
		}
	}
}

// TestProgramsThatFail: what was run and what it said are in the error.
func TestProgramsThatFail(t *testing.T) {
	o := options{scratch: t.TempDir()}
	for body, wants := range map[string][]string{
		"echo no such network >&2; exit 3": {"exit status 3", "no such network", "/bin/sh -c"},
		"true":                             {"/bin/sh left no features"},
		`echo x >"$1/pooled.npy"`:          {"left no features"},
		`mkdir "$1/pooled.f32"`:            {"pooled.f32", "is a directory"},
	} {
		_, err := o.program([]float32{1}, shell(body))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %v, want %q in it", body, err, want)
			}
		}
	}
	missing := func(string, string) *exec.Cmd { return exec.Command("/nowhere/program") }
	if _, err := o.program([]float32{1}, missing); err == nil || !strings.Contains(err.Error(), "/nowhere/program") {
		t.Errorf("without the program: %v", err)
	}
	o.scratch = "/nowhere"
	if _, err := o.program([]float32{1}, shell("true")); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("without a folder: %v", err)
	}
}

// TestPlanesKeepEveryNumber: each channel of each picture is turned into a plane.
func TestPlanesKeepEveryNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side, count := rapid.IntRange(1, 6).Draw(t, "side"), rapid.IntRange(1, 4).Draw(t, "count")
		pixels := make([]float32, (count+1)*side*side*3) // one more than is asked for
		for i := range pixels {
			pixels[i] = float32(i)
		}
		turned := planes(pixels, side, count)
		if len(turned) != count*3*side*side {
			t.Fatalf("%d numbers of %d pictures", len(turned), count)
		}
		at := 0
		for picture := range count {
			for channel := range 3 {
				for position := range side * side {
					if want := pixels[(picture*side*side+position)*3+channel]; turned[at] != want {
						t.Fatalf("picture %d, channel %d, position %d is %g, want %g", picture, channel, position, turned[at], want)
					}
					at++
				}
			}
		}
	})
}

// TestRelative against numbers worked out by hand, and cosine's range.
func TestRelative(t *testing.T) {
	for _, test := range []struct {
		a, b []float32
		want float64
	}{
		{[]float32{1, 2}, []float32{1, 2}, 0},
		{[]float32{3, 4}, []float32{0, 5}, math.Sqrt(10) / 5},
		{[]float32{0, 0}, []float32{3, 4}, 1},
		{[]float32{1}, []float32{0}, math.Inf(1)},
		{[]float32{0}, []float32{0}, math.Inf(1)}, // nothing was computed
		{[]float32{1}, []float32{float32(math.NaN())}, math.Inf(1)},
		{[]float32{float32(math.Inf(1))}, []float32{float32(math.Inf(1))}, math.Inf(1)},
	} {
		if got := relative(test.a, test.b); got != test.want && !(math.Abs(got-test.want) < 1e-12) {
			t.Errorf("%v against %v: %g, want %g", test.a, test.b, got, test.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Float32Range(0.1, 2), 3, 3).Draw(t, "a")
		b := rapid.SliceOfN(rapid.Float32Range(-2, -0.1), 3, 3).Draw(t, "b")
		doubled := []float32{2 * a[0], 2 * a[1], 2 * a[2]}
		if c := cosine(a, b); c < -1-1e-9 || c > 0 {
			t.Errorf("the cosine of %v and %v is %g", a, b, c)
		}
		if c := cosine(a, doubled); math.Abs(c-1) > 1e-9 {
			t.Errorf("the cosine of %v and its double is %g", a, c)
		}
		if r := relative(doubled, a); math.Abs(r-1) > 1e-6 {
			t.Errorf("the double of %v is %g away", a, r)
		}
	})
}

// TestSimilarities are those of row with row, the lowest first.
func TestSimilarities(t *testing.T) {
	ours := [][]float32{{1, 0}, {0, 2}, {1, 1}}
	got := similarities(ours, []float32{5, 0, 0, -1, 3, 0})
	for i, want := range []float64{-1, math.Sqrt(0.5), 1} {
		if math.Abs(got[i]-want) > 1e-9 {
			t.Errorf("%v, want %g at %d", got, want, i)
		}
	}
}

// TestNumbers are always the same, and have the mean and spread of normalised pixels, about.
func TestNumbers(t *testing.T) {
	x := numbers(30000)
	if !slices.Equal(x[:100], numbers(100)) {
		t.Error("they change with their count")
	}
	sum, squares := 0.0, 0.0
	for _, v := range x {
		sum, squares = sum+float64(v), squares+float64(v)*float64(v)
		if v < -4 || v > 4 {
			t.Fatalf("%g is out of range", v)
		}
	}
	if mean, variance := sum/30000, squares/30000; math.Abs(mean) > 0.03 || math.Abs(variance-4./3) > 0.05 {
		t.Errorf("mean %.3f, variance %.3f; four uniform ones from -1 to 1 have 0 and 1.333", mean, variance)
	}
}

// TestPrintDifferences is the table of docs/agreement.md.
func TestPrintDifferences(t *testing.T) {
	var out bytes.Buffer
	rows := []difference{{"vit_tiny", "ONNX Runtime", "pretrain", 3, 1.23e-6}, {"resnet18", "pretrain", "PyTorch", 64, 0.99e-4}}
	if err := printDifferences(&out, rows); err != nil {
		t.Error(err)
	}
	want := `The same tensor, ‖a − b‖ / ‖b‖ of the worst picture and output:

| network | computed by | against | pictures | difference |
| --- | --- | --- | ---: | ---: |
| vit_tiny | ONNX Runtime | pretrain | 3 | 1.2e-06 |
| resnet18 | pretrain | PyTorch | 64 | 9.9e-05 |
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	for _, far := range []float64{1.1e-4, math.Inf(1)} {
		err := printDifferences(io.Discard, append(rows, difference{difference: far}, rows[0]))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("differ by %.1e, more than 1e-04", far)) {
			t.Errorf("a difference of %g gives %v", far, err)
		}
	}
}

// smallRun is a run of a small random network, opened.
func smallRun(t *testing.T, o options) (directory string, opened *run.Run) {
	t.Helper()
	directory, err := o.randomRun("resnet18", &backbone.ResNetConfig{Stem: "small", Width: 64}, 16)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err = run.Open(directory); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return directory, opened
}

// TestRandomRuns are not trivial: biases and statistics are moved, and two of a kind are equal.
func TestRandomRuns(t *testing.T) {
	o := options{scratch: t.TempDir()}
	_, first := smallRun(t, o)
	_, second := smallRun(t, o)
	pixels := numbers(batch * 16 * 16 * 3)
	a, err := embed(first, pixels)
	if err != nil {
		t.Fatal(err)
	}
	b, err := embed(second, pixels)
	if err != nil {
		t.Fatal(err)
	}
	if d := a.against(b, batch); d != 0 {
		t.Errorf("two of a kind differ by %g", d)
	}
	if len(a) != 5 || !slices.Equal(a["pooled"], a["layer_4"]) || slices.Equal(a["layer_1"], a["layer_2"]) {
		t.Errorf("%d outputs: the last layer is not the pooled one", len(a))
	}
	if _, err := o.randomRun("resnet19", nil, 16); err == nil || !strings.Contains(err.Error(), "resnet19") {
		t.Errorf("of an unknown kind: %v", err)
	}
}

// TestCompareRunByScripts lets scripts in place of Node and Python answer with our own features, the first of them or all:
// then nothing differs, but for one that answers something else.
func TestCompareRunByScripts(t *testing.T) {
	o := options{scratch: t.TempDir(), tools: t.TempDir()}
	directory, opened := smallRun(t, o)
	pixels := numbers(batch * 16 * 16 * 3)
	ours, err := embed(opened, pixels)
	if err != nil {
		t.Fatal(err)
	}
	answers := t.TempDir()
	for name, values := range ours {
		raw, err := binary.Append(nil, binary.LittleEndian, values)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(answers, name+".f32"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	node := `#!/bin/sh
[ -s "$2" ] && [ -s "$3" ] || { echo "no network or no input" >&2; exit 1; }
for f in ` + answers + `/*.f32; do head -c $(($(wc -c <"$f") / 64 * $4)) "$f" >"$5/$(basename "$f")"; done
`
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "node"), []byte(node), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path+":"+os.Getenv("PATH"))
	network := filepath.Join(answers, "network")
	if err := os.WriteFile(network, []byte("a network"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, count := range []int{1, 3, batch} {
		theirs, err := o.onnxRuntime(network, planes(pixels, 16, count), count)
		if err != nil {
			t.Fatal(err)
		}
		if d := theirs.against(ours, count); d != 0 {
			t.Errorf("%d pictures: the same features differ by %g", count, d)
		}
		if d := theirs.against(ours, count+1); !math.IsInf(d, 1) {
			t.Errorf("%d pictures are enough for %d", count, count+1)
		}
	}
	row, err := o.compareBytes(opened, filepath.Join(o.scratch, "bytes.onnx"))
	if err != nil || row.difference < 0.01 {
		t.Errorf("features of other pictures differ by %g (%v)", row.difference, err)
	}
	if _, err := o.compareRun(directory); err == nil || !strings.Contains(err.Error(), "features.py tensor") {
		t.Errorf("without the script of PyTorch: %v", err)
	}
}

// TestWalk reads our features of picture files, and their paths as other programs find them.
func TestWalk(t *testing.T) {
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		if os.Getenv("REQUIRE_TOOLS") != "" {
			t.Fatalf("REQUIRE_TOOLS is set, but there is no python3: %v", err)
		}
		t.Skipf("SKIPPED: needs python3: %v", err)
	}
	pictures := t.TempDir()
	if err := sample.Extract(pictures); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := options{scratch: t.TempDir(), tools: t.TempDir(), pictures: pictures, count: 5, out: &out}
	directory, _ := smallRun(t, o)
	script := `import os, struct, sys
mode, weights, listed, count, out = sys.argv[1:]
paths = open(listed).read().split("\\n")
assert len(paths) == int(count) and os.path.getsize(weights) > 0
assert all(os.path.isfile(p) for p in paths), paths
with open(os.path.join(out, "pooled.f32"), "wb") as f:
    f.write(struct.pack("<f", 1.0) * 512 * len(paths))
`
	script = strings.ReplaceAll(script, `\\n`, `\n`)
	if err := os.MkdirAll(filepath.Join(o.tools, "agreement"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.tools, "agreement", "features.py"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.decoding(t.Context(), []string{directory}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, by := range []string{"| Pillow |", "| Pillow in one step |"} {
		if line := lines[4+i]; !strings.HasPrefix(line, "| resnet18 | pretrain, ") || !strings.Contains(line, by+" 5 | ") {
			t.Errorf("line %q is not of 5 pictures by %s", line, by)
		}
	}
	if err := o.decoding(t.Context(), []string{t.TempDir()}); err == nil {
		t.Error("a folder without a run was read")
	}
}
