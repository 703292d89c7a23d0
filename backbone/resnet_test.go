package backbone_test

import (
	"slices"
	"testing"

	"pretrain/backbone"
	"pretrain/nn"
)

func tinyResNet() *backbone.ResNetConfig { return &backbone.ResNetConfig{Stem: "small", Width: 4} }

// TestGroupsDoNotSeeEachOther: in training, the features of a group depend on its own views only.
func TestGroupsDoNotSeeEachOther(t *testing.T) {
	const views, side = 5, 16
	c := nn.NewCtx(nn.NewStore(1), true)
	f := forward(t, c, newBackbone(t, "resnet18", tinyResNet(), side), backbone.Input{Views: views, Side: side, Groups: []int{2, 3}})
	program := compile(t, c, newEngine(t), nil, f.Pooled)
	first, second := pictures("images", views, side), pictures("other", views, side)
	mixed := append(slices.Clone(first[:2*side*side*3]), second[2*side*side*3:]...)
	var pooled [3][]float32
	for i, images := range [][]float32{first, second, mixed} {
		program.Bind(f.images, images)
		run(t, program)
		pooled[i] = slices.Clone(program.Value(f.Pooled))
	}
	border := len(pooled[0]) / views * 2
	if !slices.Equal(pooled[2][:border], pooled[0][:border]) {
		t.Error("the first group changes with the pictures of the second")
	}
	if !slices.Equal(pooled[2][border:], pooled[1][border:]) {
		t.Error("the second group changes with the pictures of the first")
	}
}

// TestMapsOfOddSides: sides that strides do not divide are rounded up, as convolutions with padding do.
func TestMapsOfOddSides(t *testing.T) {
	for _, test := range []struct {
		stem string
		side int
		want []int
	}{
		{"standard", 33, []int{9, 5, 3, 2}},
		{"standard", 32, []int{8, 4, 2, 1}},
		{"standard", 224, []int{56, 28, 14, 7}},
		{"small", 8, []int{8, 4, 2, 1}},
		{"small", 33, []int{33, 17, 9, 5}},
	} {
		b := newBackbone(t, "resnet18", &backbone.ResNetConfig{Stem: test.stem, Width: 1}, test.side)
		f := forward(t, nn.NewCtx(nn.NewStore(1), false), b, backbone.Input{Views: 1, Side: test.side})
		for i, layer := range f.Layers {
			if layer.Height != test.want[i] || layer.Width != test.want[i] {
				t.Errorf("%s stem, side %d: layer %d is %d×%d, want %d", test.stem, test.side, i+1, layer.Height, layer.Width, test.want[i])
			}
		}
	}
}

func TestResNetRefuses(t *testing.T) {
	for _, test := range []struct {
		config backbone.ResNetConfig
		side   int
		want   []string
	}{
		{backbone.ResNetConfig{Stem: "standard", Width: 8}, 31, []string{"data.size is 31", "at least 32", "backbone.resnet.stem to small"}},
		{backbone.ResNetConfig{Stem: "small", Width: 8}, 7, []string{"data.size is 7", "at least 8", "larger views"}},
		{backbone.ResNetConfig{Stem: "large", Width: 8}, 64, []string{`backbone.resnet.stem is "large"`, "standard or small"}},
		{backbone.ResNetConfig{Stem: "small"}, 64, []string{"backbone.resnet.width is 0", "at least 1", "64"}},
	} {
		family, err := backbone.Find("resnet18")
		if err != nil {
			t.Fatal(err)
		}
		_, err = family.New("resnet18", &test.config, test.side)
		wantError(t, err, test.want)
	}
}

func TestResNetRefusesInputs(t *testing.T) {
	c := nn.NewCtx(nn.NewStore(1), true)
	images, index := c.Input("images", 2*16*16, 3), c.Input("index", 2, 1)
	b := newBackbone(t, "resnet18", tinyResNet(), 16)
	for _, test := range []struct {
		in   backbone.Input
		want []string
	}{
		{backbone.Input{Images: images, Views: 1, Side: 16}, []string{"(512, 3)", "1 views of side 16", "256 rows"}},
		{backbone.Input{Images: images, Views: 128, Side: 2}, []string{"side of a view is 2", "at least 8"}},
		{backbone.Input{Images: images, Views: 2, Side: 16, Kept: 1}, []string{"resnet18 has no tokens", "vit"}},
		{backbone.Input{Images: images, Views: 2, Side: 16, Positions: index}, []string{"resnet18 has no tokens", "vit"}},
		{backbone.Input{Images: images, Views: 2, Side: 16, Groups: []int{3}}, []string{"groups [3]", "2"}},
	} {
		_, err := b.Forward(c, test.in)
		wantError(t, err, test.want)
	}
}
