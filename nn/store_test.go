package nn_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"pretrain/nn"
)

// TestStoreLayout checks order, kinds, flat storage and alignment.
func TestStoreLayout(t *testing.T) {
	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	x := nn.Conv(c, "conv", testMap(c, "x", 1, 2, 2, 3), 5, 2, 1, 0)
	x = nn.BatchNorm(c, "bn", x, nil, true)
	nn.PrependToken(c, "class", nn.Linear(c, "fc", x.Node, 7, true), 1)
	store.Freeze()

	var got []string
	for _, p := range store.Parameters() {
		got = append(got, p.Name+" "+p.Kind.String()+" "+p.Layout)
		if address := uintptr(unsafe.Pointer(&p.Value[0])); address%64 != 0 {
			t.Errorf("%s starts at %#x: not on a cache line", p.Name, address)
		}
		if len(p.Value) != len(p.Gradient) || !inside(store.Values(), p.Value) || !inside(store.Gradients(), p.Gradient) {
			t.Errorf("%s does not live in the flat storage", p.Name)
		}
	}
	want := []string{"x weight ", "conv.weight weight OHWI", "bn.weight norm ", "bn.bias norm ", "fc.weight weight ", "fc.bias bias ", "class token "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{5, 2, 2, 3}, store.Lookup("conv.weight").Shape); diff != "" {
		t.Error(diff)
	}
	var buffers []string
	for _, p := range store.Buffers() {
		buffers = append(buffers, p.Name)
	}
	if diff := cmp.Diff([]string{"bn.running_mean", "bn.running_var"}, buffers); diff != "" {
		t.Error(diff)
	}
	if store.Lookup("nothing") != nil {
		t.Error("Lookup finds what was not declared")
	}
}

// inside reports whether part is memory of whole.
func inside(whole, part []float32) bool {
	from := uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&whole[0]))
	return from/4+uintptr(len(part)) <= uintptr(len(whole))
}

// TestInitialisationDependsOnNameAndSeedOnly declares the same parameters in another order, among others.
func TestInitialisationDependsOnNameAndSeedOnly(t *testing.T) {
	declare := func(seed uint64, names ...string) *nn.Store {
		store := nn.NewStore(seed)
		c := nn.NewCtx(store, true)
		for _, name := range names {
			c.Parameter(name, []int{4, 5}, nn.Weight, nn.TruncatedNormal(1))
		}
		store.Freeze()
		return store
	}
	first, second := declare(1, "a", "b"), declare(1, "c", "b", "a")
	for _, name := range []string{"a", "b"} {
		if diff := cmp.Diff(first.Lookup(name).Value, second.Lookup(name).Value); diff != "" {
			t.Errorf("%s depends on its neighbours:\n%s", name, diff)
		}
	}
	if slices.Equal(first.Lookup("a").Value, first.Lookup("b").Value) {
		t.Error("two names start with the same numbers")
	}
	if slices.Equal(first.Lookup("a").Value, declare(2, "a").Lookup("a").Value) {
		t.Error("two seeds start with the same numbers")
	}
}

// TestInitialisers checks mean, standard deviation and limit of 10,000 numbers.
func TestInitialisers(t *testing.T) {
	for _, test := range []struct {
		name             string
		init             nn.Initializer
		mean, std, limit float64
	}{
		{"zeros", nn.Zeros(), 0, 0, 0},
		{"ones", nn.Ones(), 1, 0, 1},
		// The standard deviation of a normal distribution cut at two is 0.8796.
		{"truncated normal", nn.TruncatedNormal(0.5), 0, 0.4398, 1},
		{"Kaiming", nn.KaimingNormal(50), 0, 0.2, 2},
		{"Xavier", nn.XavierUniform(10, 14), 0, 0.5 / math.Sqrt(3), 0.5},
	} {
		store := nn.NewStore(3)
		nn.NewCtx(store, true).Parameter("p", []int{10000}, nn.Bias, test.init)
		mean, variance := moments(float64s(store.Lookup("p").Value))
		if std := math.Sqrt(variance); math.Abs(mean-test.mean) > 0.02 || math.Abs(std-test.std) > 0.01 {
			t.Errorf("%s: mean %.3f, standard deviation %.3f; want %.3f, %.3f", test.name, mean, std, test.mean, test.std)
		}
		for _, x := range store.Lookup("p").Value {
			if math.Abs(float64(x)) > test.limit {
				t.Errorf("%s: %v is beyond ±%v", test.name, x, test.limit)
				break
			}
		}
	}
}

// TestFrozenStore keeps values through Freeze, serves a second graph and refuses new names.
func TestFrozenStore(t *testing.T) {
	store := nn.NewStore(1)
	param(nn.NewCtx(store, true), "p", 3, 3)
	before := slices.Clone(store.Lookup("p").Value)
	store.Freeze()
	values := store.Values()
	store.Freeze()
	if &values[0] != &store.Values()[0] {
		t.Error("a second Freeze moved the parameters")
	}
	if diff := cmp.Diff(before, store.Lookup("p").Value); diff != "" {
		t.Error(diff)
	}
	c := nn.NewCtx(store, false)
	if param(c, "p", 3, 3); c.Err() != nil {
		t.Error(c.Err())
	}
	param(c, "q", 3, 3)
	if c.Err() == nil || !strings.Contains(c.Err().Error(), "parameter q is new, but the store is frozen") {
		t.Errorf("error %v for a new name", c.Err())
	}
}
