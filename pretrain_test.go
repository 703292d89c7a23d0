package pretrain_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/draw"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"pretrain"
	"pretrain/configs"
	"pretrain/run"
	"pretrain/sample"
)

// scratch is the folder of the sample's pictures and of a run trained on them for one step.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "pretrain"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(scratch)
		os.Exit(code)
	}))
}

const tiny = `
data: {size: 32, cache_side: 40, max_pictures: 16}
backbone:
  name: vit
  vit: {patch: 8, width: 16, depth: 2, heads: 2, class_token: true}
tasks:
  rotation: {weight: 1}
train: {epochs: 1, batch_size: 8, max_steps: 1}
logging: {level: error}
metrics: {enabled: false}
`

// trained is made when the first test asks for it.
var trained = sync.OnceValue(func() error {
	if err := sample.Extract(filepath.Join(scratch, "sample")); err != nil {
		return err
	}
	file := filepath.Join(scratch, "tiny.yaml")
	if err := os.WriteFile(file, []byte(tiny), 0o644); err != nil {
		return err
	}
	resolved, err := configs.Load(configs.Source{Name: file, Pictures: configs.Required, Overrides: []configs.Override{
		{Flag: "--set", Path: "data.path", Value: filepath.Join(scratch, "sample", "train")},
	}})
	if err != nil {
		return err
	}
	return run.Train(context.Background(), resolved, run.TrainOptions{Directory: filepath.Join(scratch, "run"), Console: io.Discard})
})

// exampleRun is the directory of a trained run.
func exampleRun() string {
	if err := trained(); err != nil {
		panic(err)
	}
	return filepath.Join(scratch, "run")
}

// examplePictures are some of the sample's files.
func examplePictures() []string {
	exampleRun()
	found, err := filepath.Glob(filepath.Join(scratch, "sample", "test", "*", "*"))
	if err != nil || len(found) < 90 {
		panic("the sample has too few pictures")
	}
	return found
}

func examplePicture() string { return examplePictures()[0] }

func open(t *testing.T, options pretrain.Options) *pretrain.Network {
	t.Helper()
	network, err := pretrain.OpenWith(exampleRun(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	return network
}

// decoded are the first pictures of the sample, as a program would read them.
func decoded(t *testing.T, count int) []image.Image {
	t.Helper()
	var images []image.Image
	for _, path := range examplePictures()[:count] {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		picture, _, err := image.Decode(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, picture)
	}
	return images
}

func embed(t *testing.T, network *pretrain.Network, images []image.Image) [][]float32 {
	t.Helper()
	vectors, err := network.Embed(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

// TestEmbedIsExtract: the features are those that the command writes, to rounding, for every choice of them, and however
// many pictures are asked for at once.
func TestEmbedIsExtract(t *testing.T) {
	const count = 64 + 16 + 4 + 2
	images := decoded(t, count)
	list := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(list, []byte(strings.Join(examplePictures()[:count], "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	opened, err := run.Open(exampleRun())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for _, test := range []struct {
		options pretrain.Options
		shape   []int
	}{
		{pretrain.Options{}, []int{16}},
		{pretrain.Options{Layer: "1", Pool: "cls", Normalize: true}, []int{16}},
		{pretrain.Options{Pool: "map", Normalize: true}, []int{16, 16}},
	} {
		out := filepath.Join(t.TempDir(), "f.npy")
		o := test.options
		if _, err := opened.Extract(t.Context(), run.ExtractOptions{Data: list, Out: out, Layer: o.Layer, Pool: o.Pool, Normalize: o.Normalize}); err != nil {
			t.Fatal(err)
		}
		network := open(t, o)
		if !slices.Equal(network.Shape(), test.shape) {
			t.Errorf("%+v: shape %v", o, network.Shape())
		}
		got := slices.Concat(embed(t, network, images)...)
		content, err := os.ReadFile(out)
		if err != nil || len(content) != 128+4*len(got) {
			t.Fatalf("%d bytes for %d numbers, %v", len(content), len(got), err)
		}
		for i, x := range got {
			want := math.Float32frombits(binary.LittleEndian.Uint32(content[128+4*i:]))
			if math.Abs(float64(x-want)) > 1e-5*(1+math.Abs(float64(want))) {
				t.Fatalf("%+v: number %d is %g, extract wrote %g", o, i, x, want)
			}
		}
	}
}

// TestEmbedConcurrently: many callers at once get what one after another gets. (The race detector runs it too.)
func TestEmbedConcurrently(t *testing.T) {
	network, images := open(t, pretrain.Options{}), decoded(t, 12)
	want := embed(t, network, images)
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := range images {
				i = (i + caller) % len(images)
				vectors, err := network.Embed(t.Context(), images[i:i+1])
				if err != nil || len(vectors) != 1 || math.Abs(float64(vectors[0][3]-want[i][3])) > 1e-4 {
					t.Errorf("image %d: %v, want %v, %v", i, vectors, want[i], err)
				}
			}
		})
	}
	callers.Wait()
}

// TestEmbedOfAnyImage: the type of an image does not matter, nor where its bounds begin.
func TestEmbedOfAnyImage(t *testing.T) {
	network, picture := open(t, pretrain.Options{}), decoded(t, 1)[0]
	size := picture.Bounds().Size()
	rgba := image.NewRGBA(image.Rectangle{Max: size})
	shifted := image.NewNRGBA64(image.Rect(-7, 5, size.X-7, size.Y+5))
	draw.Draw(rgba, rgba.Rect, picture, picture.Bounds().Min, draw.Src)
	draw.Draw(shifted, shifted.Rect, picture, picture.Bounds().Min, draw.Src)
	vectors := embed(t, network, []image.Image{picture, rgba, shifted})
	for _, vector := range vectors[1:] {
		for i, x := range vector {
			if math.Abs(float64(x-vectors[0][i])) > 0.02 { // 16 bits a colour round otherwise than 8
				t.Fatalf("number %d is %g, of the same picture in another type %g", i, vectors[0][i], x)
			}
		}
	}
	if none := embed(t, network, nil); len(none) != 0 {
		t.Errorf("no images give %v", none)
	}
}

func TestEmbedErrors(t *testing.T) {
	network, good := open(t, pretrain.Options{}), image.NewGray(image.Rect(0, 0, 9, 9))
	for want, images := range map[string][]image.Image{
		"image 1: it has no pixels (0×0)": {good, image.NewGray(image.Rectangle{})},
		"image 2: there is no picture":    {good, good, nil},
	} {
		if _, err := network.Embed(t.Context(), images); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q in it", err, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := network.Embed(ended, []image.Image{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context the error is %v", err)
	}
	network.Close()
	network.Close()
	if _, err := network.Embed(t.Context(), []image.Image{good}); err == nil || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("after Close the error is %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	for want, options := range map[string]pretrain.Options{
		"layers 1 to 2":    {Layer: "3"},
		"best":             {Layer: "best"},
		"mean, cls, map":   {Pool: "max"},
		"fp32, bf16, auto": {Precision: "half"},
	} {
		if _, err := pretrain.OpenWith(exampleRun(), options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q in it", options, err, want)
		}
	}
	if _, err := pretrain.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not the directory of a run") {
		t.Errorf("error %v", err)
	}
}
