package pretext

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"pretrain/backbone"
	"pretrain/nn"
)

// plainView is the crop as the other tasks see it, so that its rows and its cost are shared.
func plainView(env Env, positions backbone.Positions) View {
	augmentation := env.Augmentation
	return View{Name: "plain", Side: env.Side, Positions: positions, Plain: &augmentation, Group: "plain"}
}

// classify is the output of a task whose rows have one right class each; rows with a negative label do not count.
func classify(c *nn.Ctx, logits, labels *G.Node, chance float64) Output {
	return Output{
		Loss: nn.CrossEntropy(c, logits, labels), Accuracy: nn.Accuracy(c, logits, labels), Logits: logits, Chance: chance,
	}
}

// takesTokens decides the parameter `mode`: "auto" takes tokens where the backbone has them, because one forward pass
// then gives many signals, and the task's other mode elsewhere.
func takesTokens(mode, other string, b backbone.Backbone) (bool, error) {
	switch mode {
	case "auto":
		return b.UsesTokens(), nil
	case other:
		return false, nil
	case "tokens":
		if !b.UsesTokens() {
			return false, fmt.Errorf("mode is tokens: %s has no tokens; use %s or auto, or a vit", b.Name(), other)
		}
		return true, nil
	}
	return false, fmt.Errorf("mode is %q: it must be auto, %s or tokens", mode, other)
}

// tokenGrid is the number of tokens along a side of a plain view.
func tokenGrid(env Env) int { return env.Side / env.Backbone.Stride() }
