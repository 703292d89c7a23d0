package main

import "fmt"

// experiment is one line of a table: a recipe with some settings.
type experiment struct {
	name     string
	recipe   string
	settings []string
	once     bool // one seed only
	beside   bool // its first run measures random weights and pixels too; they are the same for all runs of a model
}

// tasks of the recipes, in the order of the tables.
var tasks = []string{"rotation", "relative_position", "patch_location", "colorization"}

// Epochs over the 3,068 training pictures. The same number of them is equal pictures. A step of all tasks takes
// 2.3 (ResNet-18) or 3.7 times (ViT) as long as one of a single task, so the best one is also trained for as long as all
// four take.
const (
	resnetEpochs = 20
	resnetLong   = 45
	vitEpochs    = 20
	vitLong      = 72
)

// experiments are made in this order, the ones that the rest is compared with first.
var experiments = list()

func list() []experiment {
	rotation := single("resnet18", "clothing-resnet18", "rotation", resnetEpochs)
	rotation.beside = true
	longer := single("resnet18", "clothing-resnet18", "rotation", resnetLong)
	longer.name += "-long"
	all := []experiment{rotation, together("resnet18", "clothing-resnet18", resnetEpochs), longer,
		pair("resnet18", "clothing-resnet18", "rotation", "patch_location", resnetEpochs),
		learned("resnet18", "clothing-resnet18", resnetEpochs).oneSeed()}
	for _, task := range tasks[1:] {
		all = append(all, single("resnet18", "clothing-resnet18", task, resnetEpochs))
	}
	rotation = single("vit", "clothing-vit-tiny", "rotation", vitEpochs).oneSeed()
	rotation.beside = true
	all = append(all, rotation, together("vit", "clothing-vit-tiny", vitEpochs).oneSeed())
	for _, task := range tasks[1:] {
		all = append(all, single("vit", "clothing-vit-tiny", task, vitEpochs).oneSeed())
	}
	longer = single("vit", "clothing-vit-tiny", "patch_location", vitLong).oneSeed()
	longer.name += "-long"
	return append(all, longer)
}

func (e experiment) oneSeed() experiment {
	e.once = true
	return e
}

// single trains one task of a recipe, on all pictures of every batch.
func single(model, recipe, task string, epochs int) experiment {
	e := experiment{name: model + "-" + task, recipe: recipe, settings: []string{
		fmt.Sprintf("train.epochs=%d", epochs), "tasks." + task + ".weight=1", "tasks." + task + ".share=1",
	}}
	for _, other := range tasks {
		if other != task {
			e.settings = append(e.settings, "tasks."+other+".weight=0")
		}
	}
	return e
}

// pair trains two tasks of a recipe, both with its settings.
func pair(model, recipe, first, second string, epochs int) experiment {
	e := experiment{name: model + "-" + first + "-" + second, recipe: recipe, settings: []string{fmt.Sprintf("train.epochs=%d", epochs)}}
	for _, other := range tasks {
		if other != first && other != second {
			e.settings = append(e.settings, "tasks."+other+".weight=0")
		}
	}
	return e
}

// learned trains all tasks of a recipe at weight 1, weighed by their learned uncertainty.
func learned(model, recipe string, epochs int) experiment {
	e := together(model, recipe, epochs)
	e.name += "-uncertainty"
	e.settings = append(e.settings, "losses.weighter=uncertainty")
	for _, task := range tasks {
		e.settings = append(e.settings, "tasks."+task+".weight=1")
	}
	return e
}

// together trains all tasks of a recipe.
func together(model, recipe string, epochs int) experiment {
	return experiment{name: model + "-all", recipe: recipe, settings: []string{fmt.Sprintf("train.epochs=%d", epochs)}}
}
