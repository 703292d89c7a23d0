package main

import (
	"encoding/json"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pretrain/run"
)

// trained is the directory of a run of moments, and a folder of 12 pictures of two classes, of which one is broken.
func trained(t *testing.T) (directory, data string) {
	t.Helper()
	data, directory = pictures(t, true), filepath.Join(t.TempDir(), "run")
	expect(t, exitSuccess, nil, "train", write(t, tiny), "--data", data, "--out", directory, "--set", "data.max_bad_ratio=0.5")
	return directory, data
}

// TestLookingAtPictures goes through the commands that show pictures by what a run sees in them.
func TestLookingAtPictures(t *testing.T) {
	directory, data := trained(t)
	t.Run("search", func(t *testing.T) { checkSearch(t, directory, data) })
	t.Run("recall", func(t *testing.T) { checkRecall(t, directory, data) })
	t.Run("dedupe", func(t *testing.T) { checkDedupe(t, directory, data) })
	t.Run("map", func(t *testing.T) { checkMap(t, directory, data) })
	t.Run("look", func(t *testing.T) { checkLook(t, directory, data) })
	t.Run("report", func(t *testing.T) { checkReport(t, directory) })
	t.Run("import", func(t *testing.T) { checkImport(t, directory, data) })
	t.Run("mistakes", func(t *testing.T) { checkPictureMistakes(t, directory, data) })
}

// first is a readable picture of the folder.
func first(t *testing.T, data string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, "bridge", "*.jpg"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no picture below %s: %v", data, err)
	}
	return found[0]
}

// split calls a program that succeeds, and returns its outputs apart.
func split(t *testing.T, code int, arguments ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := call(nil, arguments...)
	if got != code {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", arguments, got, code, stdout, stderr)
	}
	return stdout, stderr
}

// columns reads lines of tab-separated fields.
func columns(t *testing.T, text string, count int) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(text) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(row) != count {
			t.Fatalf("%d fields, want %d: %q", len(row), count, line)
		}
		rows = append(rows, row)
	}
	return rows
}

// checkSearch: lines for programs on standard output and everything else on the other, JSON of the same, a page; a query
// that cannot be read is told and makes the command fail, after the others have their answers.
func checkSearch(t *testing.T, directory, data string) {
	query := first(t, data)
	arguments := []string{"search", directory, "--index", data, "--query", query, "-k", "3"}
	stdout, stderr := split(t, exitSuccess, arguments...)
	if !strings.Contains(stderr, "making the index of "+data) || !strings.Contains(stderr, "is left out, because it cannot be read") {
		t.Errorf("nothing is said of the index and the broken picture:\n%s", stderr)
	}
	rows := columns(t, stdout, 4)
	if len(rows) != 3 || rows[0][0] != query || rows[0][1] != "1" || rows[0][2] != "1.000000" || rows[0][3] != "bridge/"+filepath.Base(query) {
		t.Errorf("got\n%s", stdout)
	}
	stdout, stderr = split(t, exitSuccess, append(arguments, "--json", "--exclude-self")...)
	var result run.SearchResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || len(result.Answers) != 1 || len(result.Answers[0].Near) != 3 {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	if near := result.Answers[0].Near; near[0].Path != rows[1][3] || near[0].Rank != 1 || result.Pictures != 11 || result.Layer != 2 {
		t.Errorf("without the picture itself: %+v, after %v", result, rows)
	}
	if !strings.Contains(stderr, "using the index kept in") {
		t.Errorf("the index does not serve again:\n%s", stderr)
	}
	page := filepath.Join(t.TempDir(), "near.html")
	split(t, exitSuccess, append(arguments, "--html", page)...)
	if content, err := os.ReadFile(page); err != nil || !strings.Contains(string(content), rows[1][3]) {
		t.Errorf("the page does not name %s: %v", rows[1][3], err)
	}
	expect(t, exitUsage, []string{"--html: " + page, "--overwrite"}, append(arguments, "--html", page)...)
	expect(t, exitSuccess, []string{"1 queries with their neighbours written to " + page}, append(arguments, "--html", page, "--overwrite")...)

	stdout, stderr = split(t, exitFailure, "search", directory, "--index", data, "--query", data, "-k", "1")
	if len(columns(t, stdout, 4)) != 11 || !strings.Contains(stderr, "1 of 12 queries could not be read") {
		t.Errorf("of eleven queries and a broken one:\n%s%s", stdout, stderr)
	}
}

// checkRecall: exact search finds all, and a graph that looks at all pictures does too.
func checkRecall(t *testing.T, directory, data string) {
	arguments := []string{"search", directory, "--index", data, "--recall", "-k", "2"}
	stdout, _ := split(t, exitSuccess, append(arguments, "--query", first(t, data), "--json")...)
	var measured run.Recall
	if err := json.Unmarshal([]byte(stdout), &measured); err != nil || measured.Queries != 1 || measured.K != 2 || len(measured.Rows) < 3 {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	for _, row := range measured.Rows {
		if row.Recall != 1 || !(row.Rate > 0) {
			t.Errorf("%+v", row)
		}
	}
	var table strings.Builder
	measured = run.Recall{Layer: 2, Pictures: 11, Dim: 16, Queries: 7, K: 5, Rows: []run.RecallRow{{Candidates: 10, Recall: 0.98765, Rate: 1234.6}, {Recall: 1, Rate: 99}}}
	if err := printRecall(&table, measured); err != nil {
		t.Fatal(err)
	}
	const want = "7 queries among 11 pictures, layer 2 with 16 features\n\nCANDIDATES   RECALL@5  QUERIES/S\n10           0.9877    1235\nall (exact)  1.0000    99\n"
	if table.String() != want {
		t.Errorf("got\n%swant\n%s", table.String(), want)
	}
}

// checkDedupe: groups on standard output, counts on the other; a name that would break the lines is quoted.
func checkDedupe(t *testing.T, directory, data string) {
	content, err := os.ReadFile(first(t, data))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(data, "odd", "tab\there.jpg")
	put(t, copied, content)
	defer os.RemoveAll(filepath.Dir(copied))
	arguments := []string{"dedupe", directory, "--data", data, "--by", "both", "--threshold", "0.9999", "--bits", "0"}
	stdout, stderr := split(t, exitSuccess, arguments...)
	if !strings.Contains(stderr, "1 groups of near-duplicates among 12 pictures") {
		t.Errorf("got %s", stderr)
	}
	want := [][]string{{"1", "1.0000", "0", "bridge/" + filepath.Base(first(t, data))}, {"1", "1.0000", "0", strconv.Quote("odd/tab\there.jpg")}}
	if rows := columns(t, stdout, 4); !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("got %q, want %q", rows, want)
	}
	stdout, _ = split(t, exitSuccess, append(arguments, "--json")...)
	var copies run.Copies
	if err := json.Unmarshal([]byte(stdout), &copies); err != nil || len(copies.Groups) != 1 || len(copies.Bad) != 1 {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	if members := copies.Groups[0].Members; len(members) != 2 || members[1].Path != "odd/tab\there.jpg" || members[1].Similarity < 0.9999 {
		t.Errorf("got %+v", members)
	}
}

// checkMap: one page, which is not replaced unasked; without clusters and by principal components too.
func checkMap(t *testing.T, directory, data string) {
	page := filepath.Join(t.TempDir(), "map.html")
	arguments := []string{"map", directory, "--data", data, "--out", page, "--neighbours", "3", "--clusters", "2"}
	expect(t, exitSuccess, []string{"reading 12 pictures, layer 2", "laying out 11 points", "a map of 11 pictures written to " + page, "% of the neighbours"}, arguments...)
	first, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, exitUsage, []string{"--out: " + page, "--overwrite"}, arguments...)
	expect(t, exitSuccess, []string{"showing 5 of 12 pictures", "a map of 5 pictures"},
		append(arguments, "--overwrite", "--method", "pca", "--clusters", "0", "--most", "5", "--layer", "1")...)
	second, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(first), "cluster 2") || strings.Contains(string(second), "cluster 1") {
		t.Errorf("pages of %d and %d bytes with the wrong groups (%v)", len(first), len(second), err)
	}
}

// checkLook: a PNG a picture and one of all; pictures that cannot be read end in exit code 1.
func checkLook(t *testing.T, directory, data string) {
	out := filepath.Join(t.TempDir(), "seen")
	stdout, stderr := split(t, exitFailure, "look", directory, data, "--out", out)
	files := strings.Fields(stdout)
	if len(files) != 12 || filepath.Base(files[11]) != "all.png" || !strings.Contains(stderr, "1 pictures could not be read") {
		t.Fatalf("got\n%s%s", stdout, stderr)
	}
	for _, file := range files {
		content, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		config, err := png.DecodeConfig(content)
		content.Close()
		if err != nil || config.Width < 2*config.Height && filepath.Base(file) != "all.png" {
			t.Errorf("%s is %d×%d (%v)", file, config.Width, config.Height, err)
		}
	}
	one := first(t, data)
	expect(t, exitUsage, []string{"--overwrite"}, "look", directory, one, "--out", out)
	if stdout := expect(t, exitSuccess, nil, "look", directory, one, "--out", out, "--overwrite", "--layer", "1"); strings.Count(stdout, "\n") != 1 {
		t.Errorf("one picture gives\n%s", stdout)
	}
}

// checkReport: pages of one run and of two, and their curves; what is damaged is left out and said.
func checkReport(t *testing.T, directory string) {
	out := t.TempDir()
	expect(t, exitSuccess, []string{filepath.Join(directory, "report.html")}, "report", directory)
	page, plots := filepath.Join(out, "two.html"), filepath.Join(out, "plots")
	stdout := expect(t, exitSuccess, nil, "report", directory, directory, "--out", page, "--plots", plots)
	written := strings.Fields(stdout)
	if len(written) < 3 || written[0] != page {
		t.Errorf("written are %q", written)
	}
	endings := map[string]bool{}
	for _, file := range written {
		endings[filepath.Ext(file)] = true
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if got := slices.Sorted(maps.Keys(endings)); !slices.Equal(got, []string{".html", ".png", ".svg"}) {
		t.Errorf("files end in %q", got)
	}
	damaged := filepath.Join(out, "damaged")
	put(t, filepath.Join(damaged, "config.resolved.yaml"), []byte("train: {seed: 1}\n"))
	put(t, filepath.Join(damaged, "metrics.jsonl"), []byte("rubbish\n"))
	stdout, stderr := split(t, exitSuccess, "report", damaged)
	if !strings.Contains(stderr, "left out: "+damaged+": run.json is missing") || !strings.Contains(stderr, "metrics.jsonl: line 1") {
		t.Errorf("got\n%s%s", stdout, stderr)
	}
}

// checkImport: what export has written becomes a run, with all that was decided said, and looks at pictures like it.
func checkImport(t *testing.T, directory, data string) {
	file := filepath.Join(directory, "exported", "backbone.safetensors")
	imported := filepath.Join(t.TempDir(), "imported")
	arguments := []string{"import", file, "--out", imported, "--backbone", "vit"}
	expect(t, exitSuccess, []string{"vit: ", " tensors from " + file, "taken from the file: ", "backbone.vit.depth=2", "data.size=32", "written to " + imported}, arguments...)
	expect(t, exitUsage, []string{imported, "already holds a run", "--overwrite"}, arguments...)
	expect(t, exitSuccess, nil, append(arguments, "--overwrite")...)
	expect(t, exitUsage, []string{"train.epoch", "did you mean train.epochs?"}, append(arguments, "--overwrite", "--set", "train.epoch=3")...)
	query := first(t, data)
	search := func(directory string) string {
		stdout, _ := split(t, exitSuccess, "search", directory, "--index", data, "--query", query, "-k", "4")
		return stdout
	}
	if search(imported) != search(directory) {
		t.Error("the imported run finds other pictures")
	}
	expect(t, exitSuccess, []string{"imported  imported"}, "runs", filepath.Dir(imported))
	expect(t, exitSuccess, []string{"have the same weights, byte for byte", "exported backbones"}, "compare", directory, imported)
}

// checkPictureMistakes: each is refused before any work with the flag, its value, the limit and what to do.
func checkPictureMistakes(t *testing.T, directory, data string) {
	query, out := first(t, data), filepath.Join(t.TempDir(), "out")
	nowhere, empty := filepath.Join(data, "nowhere"), t.TempDir()
	notes := filepath.Join(t.TempDir(), "notes.md")
	put(t, notes, []byte("no picture"))
	find := func(more ...string) []string {
		return append([]string{"search", directory, "--index", data, "--query", query}, more...)
	}
	dedupe := func(more ...string) []string { return append([]string{"dedupe", directory, "--data", data}, more...) }
	draw := func(more ...string) []string {
		return append([]string{"map", directory, "--data", data, "--out", out}, more...)
	}
	look := func(more ...string) []string { return append([]string{"look", directory, "--out", out}, more...) }
	extract := func(more ...string) []string {
		return append([]string{"extract", directory, "--data", data, "--out", out + ".npy"}, more...)
	}
	export := func(more ...string) []string { return append([]string{"export", directory, "--out", out}, more...) }
	importing := func(file string, more ...string) []string {
		return append([]string{"import", file, "--out", out}, more...)
	}
	for name, test := range map[string]struct {
		words []string
		want  []string
	}{
		"search: no query":        {find("--query", ""), []string{"--query is missing", "picture, folder or list file"}},
		"search: no such query":   {find("--query", nowhere), []string{"--query: " + nowhere, "no such file", "name a picture"}},
		"search: empty query":     {find("--query", empty), []string{"--query: ", empty}},
		"search: query is text":   {find("--query", notes), []string{"--query: none of 1 pictures can be read", notes}},
		"search: no such index":   {find("--index", nowhere), []string{"--index: ", nowhere, "does not exist"}},
		"search: empty index":     {find("--index", empty), []string{"--index: ", empty}},
		"search: k":               {find("-k", "0"), []string{"-k is 0", "1 to the 12 pictures"}},
		"search: large k":         {find("-k", "13"), []string{"-k is 13", "1 to the 12 pictures"}},
		"search: layer":           {find("--layer", "3"), []string{"layer 3", "layers 1 to 2"}},
		"search: layer word":      {find("--layer", "first"), []string{`layer "first"`, "1 to 2, last, or best"}},
		"search: json and html":   {find("--json", "--html", out), []string{"--json and --html", "one of the two"}},
		"search: recall and html": {find("--recall", "--html", out), []string{"--recall", "leave out --html"}},
		"search: recall, exact":   {find("--recall", "--exact"), []string{"--recall", "leave out --exact"}},
		"search: recall of none":  {find("--recall", "--query", nowhere), []string{"--query: " + nowhere}},
		"search: exact below":     {find("--exact-below", "-1"), []string{"--exact-below is -1", "at least 0"}},
		"search: page is folder":  {find("--html", empty), []string{"--html: " + empty, "name a file"}},
		"search: best":            {find("--layer", "best"), []string{"no best layer yet", "pretrain eval " + directory, "from 1 to 2"}},
		"dedupe: by":              {dedupe("--by", "colour"), []string{`"colour"`, "features, hash, either, both"}},
		"dedupe: threshold":       {dedupe("--threshold", "1.5"), []string{"similarity of 1.5", "above 0 and at most 1"}},
		"dedupe: no threshold":    {dedupe("--threshold", "NaN"), []string{"similarity of NaN", "above 0 and at most 1"}},
		"dedupe: bits":            {dedupe("--bits", "64"), []string{"64 bits", "must be 0 to"}},
		"dedupe: layer":           {dedupe("--layer", "0"), []string{"layer 0", "layers 1 to 2"}},
		"dedupe: no pictures":     {dedupe("--data", nowhere), []string{"--data: ", nowhere, "does not exist"}},
		"map: method":             {draw("--method", "tsne"), []string{`--method is "tsne"`, "umap, pca"}},
		"map: neighbours":         {draw("--neighbours", "201"), []string{"--neighbours is 201", "2 to 200"}},
		"map: clusters":           {draw("--clusters", "-1"), []string{"--clusters is -1", "0, for none, to 1000"}},
		"map: most":               {draw("--most", "50001"), []string{"--most is 50001", "3 to 50000"}},
		"map: layer":              {draw("--layer", "best"), []string{"no best layer yet"}},
		"map: folder":             {draw("--out", empty), []string{"--out: " + empty, "name a file"}},
		"map: folder, overwrite":  {draw("--out", empty, "--overwrite"), []string{"--out: " + empty, "name a file"}},
		"map: no pictures":        {draw("--data", empty), []string{"--data: ", empty}},
		"look: no picture":        {look(), []string{"a RUN and at least one PICTURE are wanted"}},
		"look: empty picture":     {look(""), []string{"an argument RUN or PICTURE is empty"}},
		"look: no such picture":   {look(nowhere), []string{nowhere, "no such file"}},
		"look: text":              {look(notes), []string{"none of 1 pictures can be read", notes}},
		"look: layer":             {look(query, "--layer", "3"), []string{"layer 3", "layers 1 to 2"}},
		"look: file":              {look(query, "--out", notes), []string{notes + " is a file, not a folder"}},
		"extract: all of csv":     {extract("--out", out+".csv", "--pool", "map"), []string{".csv", ".parquet"}},
		"extract: precision":      {extract("--precision", "fp8"), []string{`precision "fp8"`, "fp32, bf16, auto"}},
		"extract: pool":           {extract("--pool", "max"), []string{`pool "max"`, "mean, cls, map"}},
		"extract: shard":          {extract("--shard", "1"), []string{`--shard "1"`, "0/4 to 3/4"}},
		"extract: no ending":      {extract("--out", out), []string{out, ".npy, .parquet, .csv, .safetensors"}},
		"extract: no pictures":    {extract("--data", nowhere), []string{nowhere, "does not exist"}},
		"export: torchvision":     {export("--format", "torchvision"), []string{"--format torchvision", "vit", "timm"}},
		"export: bytes":           {export("--uint8"), []string{"--uint8", "--format safetensors", "onnx"}},
		"export: layers":          {export("--format", "onnx", "--layers", "1,9"), []string{"--layers: layer 9", "layers 1 to 2"}},
		"export: folder":          {export("--out", empty, "--overwrite"), []string{empty, "name a file"}},
		"import: nothing":         {importing(nowhere), []string{nowhere, "no such file"}},
		"import: text":            {importing(notes), []string{notes, "safetensors"}},
		"import: folder":          {importing(empty), []string{empty}},
		"import: backbone": {
			importing(filepath.Join(directory, "exported", "backbone.safetensors"), "--backbone", "resnet18"),
			[]string{"--backbone is resnet18", "described as vit", "leave --backbone out"},
		},
		"report: no run":      {[]string{"report"}, []string{"RUN is missing"}},
		"report: empty":       {[]string{"report", directory, ""}, []string{"an argument RUN is empty"}},
		"report: no such run": {[]string{"report", nowhere}, []string{nowhere, "no such file"}},
		"report: two":         {[]string{"report", directory, directory}, []string{"--out is missing", "2 runs"}},
		"report: folder":      {[]string{"report", directory, "--out", empty}, []string{empty, "name a file"}},
		"sample: file":        {[]string{"sample", notes}, []string{notes, "is a file, not a folder"}},
		"sample: below file":  {[]string{"sample", filepath.Join(notes, "x")}, []string{notes, "is a file, not a folder"}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, exitUsage, test.want, test.words...)
			if left, err := filepath.Glob(out + "*"); err != nil || len(left) > 0 {
				t.Errorf("the refused command has left %q (%v)", left, err)
			}
		})
	}
}

// TestEmptyFlagsAreRefused: a variable that is not set in the user's shell must not stand for the folder at hand.
func TestEmptyFlagsAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	config := write(t, tiny)
	for _, words := range [][]string{
		{"train", config, "--data", ".", "--out", ""}, {"import", config, "--backbone", "vit", "--out", ""}, {"export", "run", "--out", ""},
		{"extract", "run", "--data", ".", "--out", ""}, {"map", "run", "--data", ".", "--out", ""}, {"look", "run", "x.jpg", "--out", ""},
		{"dedupe", "run", "--data", ""}, {"extract", "run", "--data", "", "--out", "x.npy"}, {"map", "run", "--data", "", "--out", "x.html"},
		{"search", "run", "--index", "", "--query", "x.jpg"}, {"bench", "--models", ""}, {"export", "run", "--out", "x", "--layers", ""},
		{"eval", "run", "--train", ".", "--test", ".", "--probe", ""}, {"eval", "run", "--train", ".", "--test", ".", "--features", ""}, {"eval", "run", "--train", "", "--test", "."}, {"eval", "run", "--train", ".", "--test", ""},
	} {
		flag := words[slices.Index(words, "")-1]
		expect(t, exitUsage, []string{flag + " is empty", "Run 'pretrain " + words[0] + " --help'"}, words...)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("the refused commands have left %v (%v)", left, err)
	}
}
