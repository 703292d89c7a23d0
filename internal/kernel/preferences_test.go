package kernel

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPreferences goes through the table with the CPUs that it names.
func TestPreferences(t *testing.T) {
	avx2 := features{avx2: true}
	skylake := features{avx2: true, avx512: true}
	iceLake := features{avx2: true, avx512: true, vbmi: true}
	cooperLake := features{avx2: true, avx512: true, bf16: true}
	refused := features{avx2: true, avx512: true, vbmi: true, bf16: true}
	sapphireRapids, zen4 := refused, refused
	sapphireRapids.amx, zen4.amd = true, true
	amdWithTiles := zen4
	amdWithTiles.amx = true
	for _, test := range []struct {
		cpu  string
		has  features
		want string
	}{
		{"none of it", features{}, "portable"},
		{"Haswell", avx2, "avx2 portable"},
		{"Zen 3", features{avx2: true, amd: true}, "avx2 portable"},
		{"Skylake-SP, Cascade Lake", skylake, "avx2 avx512 portable"},
		{"Ice Lake", iceLake, "avx512 avx2 portable"},
		{"Cooper Lake", cooperLake, "avx512 avx512bf16 avx2 portable"},
		{"Zen 4", zen4, "avx512bf16 avx512 avx2 portable"},
		{"Sapphire Rapids", sapphireRapids, "amx avx512 avx512bf16 avx2 portable"},
		{"Sapphire Rapids, tiles refused", refused, "avx512 avx512bf16 avx2 portable"},
		{"Sapphire Rapids, no AVX-512-BF16", features{avx2: true, avx512: true, vbmi: true, amx: true}, "amx avx512 avx2 portable"},
		{"a later AMD with tiles", amdWithTiles, "avx512bf16 avx512 amx avx2 portable"},
	} {
		names := []string{}
		for _, f := range test.has.families() {
			names = append(names, string(f))
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%s runs %s, want %s", test.cpu, got, test.want)
		}
	}
}

// TestPreferencesNameEveryFamily goes through all CPUs that could be: their order has every family that they run.
func TestPreferencesNameEveryFamily(t *testing.T) {
	for bits := range 1 << 6 {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		cpu := features{avx2: bit(0), avx512: bit(1), vbmi: bit(2), bf16: bit(3), amx: bit(4), amd: bit(5)}
		extended := cpu.vbmi || cpu.bf16 || cpu.amx
		if cpu.avx512 && !cpu.avx2 || extended && !cpu.avx512 || cpu.amd && cpu.amx && !cpu.bf16 {
			continue
		}
		for _, f := range AllFamilies() {
			if cpu.run(f) != slices.Contains(cpu.families(), f) {
				t.Errorf("%+v runs %s: %t, in the table: %v", cpu, f, cpu.run(f), cpu.families())
			}
		}
	}
}

func TestAllowTiles(t *testing.T) {
	refuse := func() error { return syscall.EPERM }
	accept := func() error { return nil }
	for _, test := range []struct {
		name    string
		saved   uint32
		request func() error
		want    string
	}{
		{"allowed", 0x602e7, accept, ""},
		{"refused", 0x602e7, refuse, "refuses its use (operation not permitted)"},
		{"not saved", 0x2e7, accept, "does not save its registers"},
		{"data not saved", 0x202e7, accept, "does not save its registers"},
	} {
		err := allowTiles(test.saved, test.request)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

// TestNotice wants a notice exactly where the CPU has AMX that the operating system withholds.
func TestNotice(t *testing.T) {
	withheld := tiles() != nil && !errors.Is(tiles(), errNoTiles)
	if got := Notice(); (got != "") != withheld {
		t.Errorf("the notice is %q, though the state of AMX is: %v", got, tiles())
	}
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name  string
		rates []Measurement
		want  []bool
	}{
		{"Zen 4", []Measurement{{AVX512BF16, 440, 850, true, false}, {AVX512, 441, 380, false, false}, {AVX2, 430, 300, false, false}}, []bool{true, true, true}},
		{"within the margin", []Measurement{{AVX512, 440, 200, true, false}, {AVX2, 450, 200, false, false}}, []bool{true, true}},
		{"another is faster", []Measurement{{AVX512, 400, 200, true, false}, {AVX2, 450, 200, false, false}}, []bool{false, false}},
		{"bf16 is slow", []Measurement{{AVX512, 475, 200, true, false}, {AVX512BF16, 475, 228, false, false}}, []bool{true, false}},
		{"bf16 is fast unnoticed", []Measurement{{AVX2, 400, 800, true, false}}, []bool{false}},
	} {
		compare(test.rates)
		for i, m := range test.rates {
			if m.Agrees != test.want[i] {
				t.Errorf("%s: the table agrees with %s: %t, want %t", test.name, m.Family, m.Agrees, test.want[i])
			}
		}
	}
}

// TestCalibrate checks that every family is measured; rates depend on the machine's other work.
func TestCalibrate(t *testing.T) {
	var measured []Family
	for i, m := range Calibrate(time.Millisecond) {
		measured = append(measured, m.Family)
		if m.Float32 <= 0 || m.BFloat16 <= 0 || m.Rate() != m.Float32 && m.Rate() != m.BFloat16 || m.Preferred != (i == 0) {
			t.Errorf("measurement %d is %+v", i, m)
		}
	}
	if !slices.Equal(measured, Families()) {
		t.Errorf("measured %v, want %v", measured, Families())
	}
}
