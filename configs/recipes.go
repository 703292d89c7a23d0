package configs

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pretrain/internal/nearest"
	"pretrain/internal/settings"
)

//go:embed *.yaml
var recipes embed.FS

// largest is the size in bytes above which a file is taken for something else than a configuration.
const largest = 1 << 20

// Recipes names the embedded recipes, in alphabetical order.
func Recipes() []string {
	files, _ := fs.Glob(recipes, "*.yaml") // the pattern is right, and this is Glob's only error
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(file, ".yaml")
	}
	return names
}

// Recipe returns the text of an embedded recipe.
func Recipe(name string) ([]byte, error) {
	return recipes.ReadFile(name + ".yaml")
}

// read returns the text of a recipe or file, and how messages call it. A bare name of a recipe is the recipe, even if
// a file is called so too: ./quickstart is the file.
func read(name string) (origin string, content []byte, err error) {
	if slices.Contains(Recipes(), name) {
		content, err = Recipe(name)
		return "recipe " + name, content, err
	}
	content, err = readFile(name)
	if err != nil {
		return name, nil, &Error{Problems: []Problem{unreadable(name, err)}}
	}
	return name, content, nil
}

// readFile reads a file of a sensible size.
func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, largest+1))
	if err == nil && len(content) > largest {
		err = fmt.Errorf("has more than %d bytes", largest)
	}
	return content, err
}

// unreadable explains why a file cannot be read; a name that is not there is compared with the recipes and with the
// YAML files beside it.
func unreadable(name string, err error) Problem {
	problem := Problem{Origin: settings.Origin{Layer: settings.File, Name: name}, Fault: "is not a configuration file: " + cause(err)}
	problem.Allowed = "a YAML file or a recipe: " + strings.Join(Recipes(), ", ")
	if !errors.Is(err, fs.ErrNotExist) {
		return problem
	}
	problem.Fault = "there is no such file or recipe"
	problem.Nearest = nearest.Name(strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)), Recipes())
	if beside := nearestFile(name, "*.yaml"); beside != "" {
		problem.Nearest = beside
	}
	return problem
}

// cause is the reason of a file error without the name of the file, which the message has already.
func cause(err error) string {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}

// nearestFile returns the path in name's folder that is a slip of the finger away from name: an edit or two, and not
// more than one in four characters. It is empty if none is.
func nearestFile(name, pattern string) string {
	name = filepath.Clean(name)
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(name), pattern))
	best := nearest.Name(name, beside)
	if nearest.Distance(name, best) <= min(2, len(filepath.Base(name))/4) {
		return best
	}
	return ""
}
