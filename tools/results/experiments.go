package main

import "fmt"

// experiment is one line of a table: a recipe with some settings.
type experiment struct {
	name     string
	recipe   string
	settings []string
	once     bool // one seed only
}

// tasks of the recipes, in the order of the tables.
var tasks = []string{"rotation", "relative_position", "patch_location", "colorization"}

// Epochs over the 3,068 training pictures. equalPictures is the same for everybody. The other numbers make runs of about
// eight minutes on the machine of docs/results.md.
const (
	equalPictures  = 45
	resnetMultiple = 16
	vitPictures    = 60
	vitMultiple    = 20
)

// experiments are made in this order.
var experiments = list()

func list() []experiment {
	var all []experiment
	for _, task := range tasks {
		all = append(all, single("resnet18", "clothing-resnet18", task, equalPictures, false))
	}
	all = append(all,
		together("resnet18", "clothing-resnet18", "short", resnetMultiple, false),
		together("resnet18", "clothing-resnet18", "long", equalPictures, false),
	)
	for _, task := range tasks {
		all = append(all, single("vit", "clothing-vit-tiny", task, vitPictures, true))
	}
	return append(all,
		together("vit", "clothing-vit-tiny", "short", vitMultiple, true),
		together("vit", "clothing-vit-tiny", "long", vitPictures, true),
	)
}

// single trains one task of a recipe.
func single(model, recipe, task string, epochs int, once bool) experiment {
	e := experiment{name: model + "-" + task, recipe: recipe, once: once, settings: []string{fmt.Sprintf("train.epochs=%d", epochs)}}
	for _, other := range tasks {
		if other != task {
			e.settings = append(e.settings, "tasks."+other+".weight=0")
		}
	}
	return e
}

// together trains all tasks of a recipe.
func together(model, recipe, length string, epochs int, once bool) experiment {
	return experiment{name: model + "-all-" + length, recipe: recipe, once: once, settings: []string{fmt.Sprintf("train.epochs=%d", epochs)}}
}
