package memory

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

func TestFree(t *testing.T) {
	const gib = 1 << 30
	meminfo := "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  Limit
	}{
		"nothing known": {nil, Limit{}},
		"system":        {map[string]string{"proc/meminfo": meminfo}, Limit{8 * gib, "MemAvailable"}},
		"group without a limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, Limit{8 * gib, "MemAvailable"}},
		"group": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "4294967296\n",
			"sys/fs/cgroup/a/memory.current": "2147483648\n", "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 1073741824\n",
		}, Limit{3 * gib, "cgroup limit of 4.00 GiB"}},
		"group above": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1073741824\n",
		}, Limit{gib, "cgroup limit of 1.00 GiB"}},
		"container": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n",
		}, Limit{gib, "cgroup limit of 1.00 GiB"}},
		"version 1": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
		}, Limit{gib, "cgroup limit of 2.00 GiB"}},
		"version 1 without a limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, Limit{8 * gib, "MemAvailable"}},
		"used up": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "100\n", "sys/fs/cgroup/memory.current": "200\n",
		}, Limit{1, "cgroup limit of 100 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, content := range test.files {
				write(t, filepath.Join(root, file), content)
			}
			if got := free(root); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("known on Linux only")
	}
	if free := Free(); free.Bytes <= 0 || free.Source == "" {
		t.Errorf("free memory is %+v", free)
	}
	if peak := Peak(); peak < 1<<20 || peak > 1<<40 {
		t.Errorf("peak memory is %d bytes", peak)
	}
}

func TestText(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1536: "1.50 KiB", 3 << 30: "3.00 GiB", 1 << 62: "4.00 EiB",
	} {
		if got := Text(bytes); got != want {
			t.Errorf("Text(%d) is %s, want %s", bytes, got, want)
		}
	}
}

// TestTextRoundsToWhatItShows: two digits behind the point, never 1024 of a unit, and no more than half a digit beside
// the number.
func TestTextRoundsToWhatItShows(t *testing.T) {
	units := map[string]float64{
		"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50, "EiB": 1 << 60,
	}
	rapid.Check(t, func(r *rapid.T) {
		power := int64(1) << rapid.IntRange(0, 62).Draw(r, "power")
		bytes := rapid.OneOf(rapid.Int64Range(0, power), rapid.Int64Range(power-min(power, 10), power)).Draw(r, "bytes")
		var number float64
		var unit string
		if _, err := fmt.Sscan(Text(bytes), &number, &unit); err != nil || units[unit] == 0 {
			r.Fatalf("%d is shown as %q (%v)", bytes, Text(bytes), err)
		}
		if number >= 1024 || math.Abs(number*units[unit]-float64(bytes)) > 0.0051*units[unit] {
			r.Fatalf("%d is shown as %q", bytes, Text(bytes))
		}
	})
}

// FuzzFree: whatever the system's files hold, a limit is either unknown or positive, and has a source.
func FuzzFree(f *testing.F) {
	f.Add("MemAvailable: 8388608 kB\n", "0::/a\n", "4294967296\n", "100\n")
	f.Add("MemAvailable: 9223372036854775807 kB\n", "4:memory:/x\n", "max\n", "-1\n")
	f.Add("", "0::/../../a:b\n::\n", "1\n", "x")
	f.Fuzz(func(t *testing.T, meminfo, groups, most, used string) {
		root := t.TempDir()
		for file, content := range map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": groups, "sys/fs/cgroup/memory.max": most, "sys/fs/cgroup/memory.current": used,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": most, "sys/fs/cgroup/memory/memory.usage_in_bytes": used,
		} {
			write(t, filepath.Join(root, file), content)
		}
		if got := free(root); got.Bytes < 0 || (got.Bytes == 0) != (got.Source == "") {
			t.Errorf("%+v", got)
		}
	})
}
