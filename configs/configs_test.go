package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"pretrain/internal/settings"
	"pretrain/pretext"
)

func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, source Source) *Resolved {
	t.Helper()
	resolved, err := Load(source)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// Every default must keep its own rules, and every key must be explained and have a variable of its own.
func TestEveryKey(t *testing.T) {
	tree, err := Default().tree()
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	for _, key := range tree.Keys() {
		text, err := key.Literal()
		if err != nil {
			t.Fatal(err)
		}
		again := Override{Flag: "--set", Path: key.Path, Value: strings.Trim(text, `"`)}
		_, err = Load(Source{Name: "clothing-resnet18", Overrides: []Override{again}})
		if err != nil && strings.Contains(err.Error(), "--set: ") {
			t.Errorf("the default does not pass: %v", err)
		}
		if key.Doc == "" {
			t.Errorf("%s has no doc tag", key.Path)
		}
		if other, taken := variables[key.Variable(Prefix)]; taken {
			t.Errorf("%s and %s share the variable %s", key.Path, other, key.Variable(Prefix))
		}
		variables[key.Variable(Prefix)] = key.Path
	}
	for _, variable := range reserved {
		if path := variables[variable]; path != "" {
			t.Errorf("%s is reserved, yet means %s", variable, path)
		}
	}
}

func TestTopLevelKeys(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		got = append(got, pair.Key)
	}
	want := strings.Fields("data backbone tasks losses optimizer train checkpoints eval export metrics logging")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	tasks, _ := schema.Properties.Get("tasks")
	for _, name := range []string{"rotation", "relative_position", "patch_location", "colorization"} {
		if _, found := tasks.Properties.Get(name); !found {
			t.Errorf("no section tasks.%s", name)
		}
	}
}

func TestRecipes(t *testing.T) {
	schema := compileSchema(t)
	for _, name := range Recipes() {
		resolved := load(t, Source{Name: name, Pictures: IfNamed})
		if resolved.Config.Data.Path != "" {
			t.Errorf("%s: data.path is %q; a recipe leaves it to the user", name, resolved.Config.Data.Path)
		}
		if got := len(resolved.Config.ActiveTasks()); got != 4 {
			t.Errorf("%s: %d tasks are active", name, got)
		}
		content, err := Recipe(name)
		if err != nil {
			t.Fatal(err)
		}
		var document any
		if err := yaml.Unmarshal(content, &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s does not match the schema: %v", name, err)
		}
	}
	if diff := cmp.Diff([]string{"clothing-resnet18", "clothing-vit-tiny", "quickstart"}, Recipes()); diff != "" {
		t.Error(diff)
	}
}

func compileSchema(t *testing.T) *validator.Schema {
	t.Helper()
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	document, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := validator.NewCompiler()
	if err := compiler.AddResource("config.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestPrintedRecipesLoadBack(t *testing.T) {
	schema := compileSchema(t)
	for _, name := range Recipes() {
		first := load(t, Source{
			Name: name, Overrides: []Override{{Flag: "--set", Path: "tasks.rotation.weight", Value: "0"}},
		})
		text, err := first.YAML()
		if err != nil {
			t.Fatal(err)
		}
		second := load(t, Source{Name: write(t, text)})
		if diff := cmp.Diff(first.Config, second.Config, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		var document any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("the printed %s does not match the schema: %v", name, err)
		}
	}
}

func TestATaskIsOnIfItsSectionIsThereAndItsWeightIsNotZero(t *testing.T) {
	for _, test := range []struct {
		content, set string
		want         []string
	}{
		{content: "tasks: {rotation: {}}", want: []string{"rotation"}},
		{content: "tasks:\n  rotation:\n", want: []string{"rotation"}},
		{content: "tasks: {rotation: {weight: 0}, colorization: {weight: 0.5}}", want: []string{"colorization"}},
		{content: "tasks: {rotation: {}}", set: "tasks.colorization.weight=2", want: []string{"colorization", "rotation"}},
		{content: "tasks: {rotation: {}, colorization: {}}", set: "tasks.colorization.weight=0", want: []string{"rotation"}},
	} {
		source := Source{Name: write(t, test.content)}
		if path, value, found := strings.Cut(test.set, "="); found {
			source.Overrides = []Override{{Flag: "--set", Path: path, Value: value}}
		}
		got := load(t, source).Config.ActiveTasks()
		if diff := cmp.Diff(test.want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%+v: %s", test, diff)
		}
	}
}

func TestDefaultsAloneKeepAllTasks(t *testing.T) {
	resolved := load(t, Source{})
	if got, want := len(resolved.Config.ActiveTasks()), len(pretext.Definitions()); got != want {
		t.Errorf("%d of %d tasks are active by default", got, want)
	}
}

func TestOrigins(t *testing.T) {
	file := write(t, "tasks: {rotation: {}}\ntrain:\n  epochs: 2\n  batch_size: 3\n")
	resolved := load(t, Source{
		Name: file, Environment: []string{"PRETRAIN_TRAIN_BATCH_SIZE=4", "PRETRAIN_KERNELS=portable", "HOME=/"},
		Overrides: []Override{{Flag: "--data", Path: "data.path", Value: "pictures"}},
	})
	if c := resolved.Config; c.Train.Epochs != 2 || c.Train.BatchSize != 4 || c.Data.Path != "pictures" {
		t.Errorf("got %+v", c.Train)
	}
	for path, want := range map[string]string{
		"train.epochs": file + ":3", "train.batch_size": "PRETRAIN_TRAIN_BATCH_SIZE", "data.path": "--data",
		"train.seed": "default", "no.such.key": "",
	} {
		if got := resolved.Origin(path); got != want {
			t.Errorf("origin of %s = %q, want %q", path, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "pictures"), 0o700); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "big.yaml")
	if err := os.WriteFile(binary, make([]byte, largest+1), 0o600); err != nil {
		t.Fatal(err)
	}
	const rotation = "tasks: {rotation: {}}\n"
	for name, test := range map[string]struct {
		source Source
		text   string // of the file, if the source names none
		want   []string
	}{
		"recipe": {
			source: Source{Name: "quikstart"},
			want: []string{
				"quikstart: there is no such file or recipe; did you mean quickstart?",
				"clothing-resnet18, clothing-vit-tiny, quickstart",
			},
		},
		"recipe with suffix": {source: Source{Name: "quickstart.conf"}, want: []string{"did you mean quickstart?"}},
		"folder":             {source: Source{Name: folder}, want: []string{"is not a configuration file: is a directory"}},
		"too big":            {source: Source{Name: binary}, want: []string{"has more than 1048576 bytes"}},
		"neighbouring file": {
			source: Source{Name: filepath.Join(folder, "bigg.yaml")},
			want:   []string{"did you mean " + binary},
		},
		"no task": {
			text: "train: {epochs: 1}",
			want: []string{"tasks: there is nothing to learn", "tasks.rotation"},
		},
		"all tasks off": {text: "tasks: {rotation: {weight: 0}}", want: []string{"tasks: there is nothing to learn"}},
		"negative weight": {
			text: "tasks: {rotation: {weight: -1}}",
			want: []string{"tasks.rotation.weight = -1: is out of range (allowed: a number, at least 0)"},
		},
		"share of nothing": {
			text: "tasks: {rotation: {share: 0}}",
			want: []string{"tasks.rotation.share = 0: is out of range"},
		},
		"share above 1": {
			text: "tasks: {rotation: {share: 1.5}}",
			want: []string{"tasks.rotation.share = 1.5: is out of range"},
		},
		"architecture": {
			text: rotation + "backbone: {name: resnet81}",
			want: []string{"run.yaml:2: backbone.name = resnet81: is unknown; did you mean resnet18?", "resnet50"},
		},
		"family not chosen": {
			text: rotation + "backbone: {name: resnet18, vit: {patch: eight, pach: 8}}",
			want: []string{
				"backbone.vit.patch = eight: is a text",
				"backbone.vit.pach = 8: unknown key; did you mean backbone.vit.patch?",
			},
		},
		"combination": {
			text: rotation + "data:\n  size: 64\n  cache_side: 32\n",
			want: []string{"run.yaml:4: data.cache_side is 32: must be"},
		},
		"patch and size": {
			text: rotation + "data: {size: 64}\nbackbone: {name: vit_tiny, vit: {patch: 5}}",
			want: []string{"run.yaml:2: data.size is 64", "backbone.vit.patch (5)"},
		},
		"two checks": {
			text: "data: {cache_side: 10}\ntrain: {schedule: {milestones: [0.5, 0.2]}}\neval: {every_epochs: 1}",
			want: []string{
				"run.yaml:1: data.cache_side is 10", "run.yaml:2: train.schedule.milestones is [0.5 0.2]: must ascend",
				"eval.train is empty, but eval.every_epochs is 1", "tasks: there is nothing to learn",
			},
		},
		"empty data.path": {
			source: Source{Pictures: Required},
			text:   rotation,
			want:   []string{"data.path is empty: name the folder of pictures with --data DIR"},
		},
		"missing pictures": {
			source: Source{Pictures: IfNamed},
			text:   rotation + "data: {path: " + folder + "/picturs}",
			want: []string{
				"run.yaml:2: data.path = " + folder + "/picturs: no such file or directory",
				"did you mean " + folder + "/pictures?",
			},
		},
		"missing labelled": {
			source: Source{Pictures: IfNamed},
			text:   rotation + "eval: {every_epochs: 1, train: /no/a, test: /no/b}",
			want:   []string{"eval.train = /no/a: no such", "eval.test = /no/b: no such"},
		},
		"variable": {
			source: Source{Environment: []string{"PRETRAIN_DATA_CACHEMIB=1"}},
			text:   rotation,
			want: []string{
				"PRETRAIN_DATA_CACHEMIB = 1: unknown variable; did you mean PRETRAIN_DATA_CACHE_MIB?",
				"PRETRAIN_KERNELS",
			},
		},
		"profiles for everyone": {
			text: rotation + "metrics: {address: \":9464\", pprof: true}",
			want: []string{"run.yaml:2: metrics.pprof is true", "metrics.web_config"},
		},
		"password in a URL": {
			text: rotation + "metrics: {push: {url: http://a:sesame@host}}",
			want: []string{"run.yaml:2: metrics.push.url", "metrics.push.password_variable"},
		},
		"no URL": {
			text: rotation + "logging: {mlflow: {uri: tracking}}",
			want: []string{"run.yaml:2: logging.mlflow.uri", "http://"},
		},
		"metrics": {
			text: rotation + "metrics: {address: nowhere}",
			want: []string{"run.yaml:2: metrics.address"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.source.Name == "" {
				test.source.Name = write(t, test.text)
			}
			_, err := Load(test.source)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
		})
	}
}

// A wrong value must not bring about a second complaint, made of a default that nobody asked for.
func TestOneProblemIsReportedOnce(t *testing.T) {
	_, err := Load(Source{Name: write(t, "tasks: {rotaton: {}}\ndata: {size: big, cache_side: 32}\n")})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want a heading and two problems, got %v", err)
	}
}

// An error of a task's constructor begins with a key of its section, if one is at fault, and then has its origin.
func TestErrorsOfTasksHaveTheirPathAndOrigin(t *testing.T) {
	resolved := load(t, Source{Name: write(t, "tasks:\n  rotation:\n    weight: 3\n")})
	for fault, want := range map[string]string{
		"weight is 3: must be even": "run.yaml:3: tasks.rotation.weight is 3: must be even",
		"no picture has a colour":   "tasks.rotation: no picture has a colour",
	} {
		problems := resolved.explain(resolved.taskError("tasks.rotation", errors.New(fault)))
		if len(problems) != 1 || !strings.HasSuffix(problems[0].String(), want) {
			t.Errorf("got %v, want %s", problems, want)
		}
	}
}

func TestParametersOfEverythingRegistered(t *testing.T) {
	config := Default()
	all := map[string]any{}
	for name, params := range config.Tasks {
		all[name] = params
	}
	for name, params := range config.Backbone.Families {
		all[name] = params
	}
	for name, params := range all {
		parameters, err := Parameters(params)
		if err != nil || len(parameters) == 0 {
			t.Errorf("%s: %d parameters, error %v", name, len(parameters), err)
		}
		for _, parameter := range parameters {
			if parameter.Doc == "" || parameter.Allowed == "" || parameter.Default == "" {
				t.Errorf("%s: %+v is not explained", name, parameter)
			}
		}
	}
}

// FuzzLoad: no file makes the loader panic, and what it accepts prints and loads back.
func FuzzLoad(f *testing.F) {
	for _, name := range Recipes() {
		content, err := Recipe(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("tasks: {rotation: }\ndata: {mean: [0, .5, 1]}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		first, err := parse(Source{Name: "run.yaml"}, "run.yaml", content)
		if err != nil {
			return
		}
		text, err := first.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(Source{Name: "run.yaml"}, "run.yaml", []byte(text)); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}

// anything draws a value that some key takes and others do not.
func anything() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.SampledFrom([]any{
			nil, true, -1, 0, 1, 2, 8, 64, 1024, 0.5, -0.25, 1.5, "", "auto", "x", "resnet18", "adamw", "fp32", "info",
		}),
		rapid.SliceOfN(rapid.SampledFrom([]any{0, 0.5, 1, "a"}), 0, 3).AsAny(),
		rapid.Just[any](map[string]any{"weight": 1}),
	)
}

// nest puts a value at a dotted path of a document.
func nest(document map[string]any, path string, value any) {
	section, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		document[section] = value
		return
	}
	inner, ok := document[section].(map[string]any)
	if !ok {
		inner = map[string]any{}
		document[section] = inner
	}
	nest(inner, rest, value)
}

// TestSchemaAgreesWithTheLoader on every key: an editor with the schema and the program find the same files wrong. What
// only combinations show, no schema can say.
func TestSchemaAgreesWithTheLoader(t *testing.T) {
	schema := compileSchema(t)
	tree, err := Default().tree()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, key := range tree.Keys() {
		paths = append(paths, key.Path, key.Path+"x", key.Path) // now and then one that is none
	}
	rapid.Check(t, func(r *rapid.T) {
		document := map[string]any{}
		for path, value := range rapid.MapOfN(rapid.SampledFrom(paths), anything(), 1, 2).Draw(r, "values") {
			nest(document, path, value)
		}
		content, err := yaml.Marshal(document)
		if err != nil {
			r.Fatal(err)
		}
		var read any
		if err := yaml.Unmarshal(content, &read); err != nil {
			r.Fatal(err)
		}
		fresh, err := Default().tree()
		if err != nil {
			r.Fatal(err)
		}
		bySchema := schema.Validate(read)
		byLoader := fresh.Load(settings.Source{File: "run.yaml", Content: content})
		if (bySchema == nil) != (byLoader == nil) {
			r.Fatalf("%s\nschema: %v\nloader: %v", content, bySchema, byLoader)
		}
	})
}

// TestSlipsOfEveryKey: whichever key is misspelt by one letter, in a file, a variable or a flag, the key is suggested.
func TestSlipsOfEveryKey(t *testing.T) {
	tree, err := Default().tree()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range tree.Keys() {
		slip := key.Path + "z"
		document := map[string]any{}
		nest(document, slip, 1)
		content, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		variable := strings.ToUpper(strings.ReplaceAll(slip, ".", "_"))
		for want, source := range map[string]settings.Source{
			": " + slip + " = 1: unknown key; did you mean " + key.Path + "?": {File: "run.yaml", Content: content},
			"--set: " + slip + " = 1: unknown key; did you mean " + key.Path + "?": {
				Overrides: []Override{{Flag: "--set", Path: slip, Value: "1"}},
			},
			"unknown variable; did you mean " + key.Variable(Prefix) + "?": {
				Prefix: Prefix, Environment: []string{Prefix + variable + "=1"},
			},
		} {
			fresh, err := Default().tree()
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.Load(source); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}

// TestRecipesByNameAndFile: a bare name is the recipe even if a file is called so, a path is always the file.
func TestRecipesByNameAndFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("quickstart", []byte("tasks: {rotation: {}}\ntrain: {epochs: 77}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, epochs := range map[string]bool{"quickstart": false, "./quickstart": true} {
		resolved := load(t, Source{Name: name})
		if got := resolved.Config.Train.Epochs == 77; got != epochs {
			t.Errorf("%s: epochs are %d from %s", name, resolved.Config.Train.Epochs, resolved.Origin("train.epochs"))
		}
	}
	if _, err := Recipe("nowhere"); err == nil {
		t.Error("a recipe that is none was read")
	}
}

// TestUnreadableFiles: the reason is told without the name twice, and names lead to what is near: files that end as
// configurations do, and recipes.
func TestUnreadableFiles(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"factory.yaml", "[odd].yaml", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("tasks: {rotation: {}}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		filepath.Join(folder, "factroy.yaml"):               "did you mean " + filepath.Join(folder, "factory.yaml") + "?",
		filepath.Join(folder, "factory.yml"):                "did you mean " + filepath.Join(folder, "factory.yaml") + "?",
		filepath.Join(folder, "note.txt"):                   "did you mean quickstart?",
		filepath.Join(folder, "[od].yaml"):                  "did you mean " + filepath.Join(folder, "[odd].yaml") + "?",
		filepath.Join(folder, "clothing-resnet.yaml"):       "did you mean clothing-resnet18?",
		filepath.Join(folder, "factory.yaml", "inner.yaml"): "is not a configuration file: not a directory",
		"nul\x00.yaml": "invalid argument",
	} {
		_, err := Load(Source{Name: name})
		var found *Error
		if !errors.As(err, &found) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "quickstart") {
			t.Errorf("%q: got %v, want %s", name, err, want)
		} else if strings.Count(err.Error(), name) != 1 {
			t.Errorf("%q is there more than once: %v", name, err)
		}
	}
}

// TestPicturesThatAreAskedFor: Load looks whether a folder is there and leaves its content to training.
func TestPicturesThatAreAskedFor(t *testing.T) {
	folder, nowhere := t.TempDir(), filepath.Join(t.TempDir(), "nowhere")
	for _, test := range []struct {
		path     string
		pictures Pictures
		good     bool
	}{
		{"", Unchecked, true}, {"", IfNamed, true}, {"", Required, false},
		{folder, Unchecked, true}, {folder, IfNamed, true}, {folder, Required, true},
		{nowhere, Unchecked, true}, {nowhere, IfNamed, false}, {nowhere, Required, false},
	} {
		_, err := Load(Source{
			Name: "quickstart", Pictures: test.pictures, Overrides: []Override{
				{Flag: "--data", Path: "data.path", Value: test.path},
			},
		})
		if (err == nil) != test.good {
			t.Errorf("%+v: %v", test, err)
		}
		if err != nil && !strings.Contains(err.Error(), "data.path") {
			t.Errorf("the key is not in %v", err)
		}
	}
}

// TestWebConfigIsReadBeforeTraining, and not when a run is only looked at, perhaps on another machine.
func TestWebConfigIsReadBeforeTraining(t *testing.T) {
	set := Override{Flag: "--set", Path: "metrics.web_config", Value: "missing.yml"}
	source := Source{Name: "quickstart", Overrides: []Override{set}}
	if _, err := Load(source); err != nil {
		t.Error(err)
	}
	source.Pictures = IfNamed
	if _, err := Load(source); err == nil || !strings.Contains(err.Error(), "--set: metrics.web_config = missing.yml: open") {
		t.Errorf("got %v", err)
	}
}
