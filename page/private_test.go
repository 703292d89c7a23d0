package page

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// secrets are names of folders and people that no page may show.
var secrets = rapid.StringMatching(`zz[a-z]{3,6}( [a-z]{1,3})?`)

// TestNoFolderIsShown: whatever absolute path is in a text, and wherever, only its last element stays.
func TestNoFolderIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		folders := rapid.SliceOfN(secrets, 1, 4).Draw(t, "folders")
		separator := rapid.SampledFrom([]string{"/", `\`, `\\`}).Draw(t, "separator")
		root := rapid.SampledFrom([]string{separator, "~" + separator, "C:" + separator}).Draw(t, "root")
		path := root + strings.Join(folders, separator) + separator + "cat.jpg"
		before := rapid.SampledFrom([]string{"", "open ", `"`, "path=", "(", "[", "a.jpg, ", "first\nopen "}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", ": no such file", `"`, ", next", ") is there", "\nsecond"}).Draw(t, "after")
		got := HidePaths(before + path + after)
		if strings.Contains(got, "zz") || !strings.HasPrefix(got, before) || !strings.HasSuffix(got, "cat.jpg"+after) {
			t.Fatalf("%q became %q", before+path+after, got)
		}
		if again := HidePaths(got); again != got {
			t.Fatalf("%q became %q the second time", got, again)
		}
	})
}

// TestHarmlessTextStays: words without a slash are nobody's path.
func TestHarmlessTextStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Za-z0-9 .,:;()='"%\n-]{0,60}`).Draw(t, "text")
		if got := HidePaths(text); got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// TestNoSettingShowsAFolder: in a configuration, relative paths count too, in keys, values, lists and comments.
func TestNoSettingShowsAFolder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		folder := rapid.SampledFrom([]string{"zzacme/", "/home/zzme/", `C:\zzdata\`, "../zzother/", "https://zzme:zzword@gate.example/zzx/", "s3://bucket/zzkey/"}).
			Draw(t, "folder")
		last := rapid.StringMatching(`[a-y]{1,5}(\.png)?`).Draw(t, "last")
		document := map[string]any{
			"data": map[string]any{"path": folder + last, "size": 64, "more": []any{folder + last, 0.5, true, nil}},
			"eval": map[string]any{folder + last: folder + last},
		}
		text, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		shown := HideConfigPaths("# of " + folder + last + "\n" + string(text) + "# made in " + folder + "\n")
		if strings.Contains(shown, "zz") {
			t.Fatalf("%s became %s", text, shown)
		}
		var read map[string]map[string]any
		if err := yaml.Unmarshal([]byte(shown), &read); err != nil || read["data"]["size"] != 64 || len(read["data"]["more"].([]any)) != 4 {
			t.Fatalf("%s is another configuration now: %v", shown, err)
		}
	})
}

func TestLastElement(t *testing.T) {
	for value, want := range map[string]string{
		"":                                   "",
		"adamw":                              "adamw",
		"0.05":                               "0.05",
		"/":                                  "",
		"runs/first/":                        "first",
		`\\server\share\pictures`:            "pictures",
		"https://gate.example:9091/a?key=b":  "https://gate.example:9091",
		"https://me:word@gate.example/a":     "https://gate.example",
		"https://me:wo%rd@gate.example":      "gate.example", // an address that nothing else reads either
		"https://me:wo rd@gate.example/push": "push",
		"file:///home/me/x":                  "x",
		"127.0.0.1:9464":                     "127.0.0.1:9464",
	} {
		if got := LastElement(value); got != want {
			t.Errorf("%q became %q, want %q", value, got, want)
		}
	}
}

// TestConfigurationsThatAreNone are shown without paths all the same.
func TestConfigurationsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"# nothing but /home/me/x":     "# nothing but x",
		"a: [b: /home/me/x":            "a: [b: x",
		"a: /home/me/x\n\tb: /srv/y/z": "a: x\n\tb: z",
	} {
		if got := HideConfigPaths(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// FuzzLogLine: any line is shown, as one line.
func FuzzLogLine(f *testing.F) {
	for _, line := range []string{`{"time":"2026-11-25T01:32:11Z","message":"a\nb"}`, `{"time":"ä2026-11-25T01:32:1ä"}`, "null", `{"time":3}`, "{", "x"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") {
			t.Skip("not a line")
		}
		if shown := LogLine(line); len(line) > 0 && len(shown) == 0 {
			t.Errorf("%q is shown as nothing", line)
		}
	})
}
