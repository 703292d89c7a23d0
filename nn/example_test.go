package nn_test

import (
	"fmt"

	"pretrain/internal/kernel"
	"pretrain/nn"
)

// A two-layer classifier learns two points by plain gradient descent.
func ExampleCompile() {
	engine, err := kernel.New(kernel.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()

	store := nn.NewStore(1)
	c := nn.NewCtx(store, true)
	x, labels := c.Input("x", 2, 3), c.Input("labels", 2, 1)
	hidden := nn.GELU(c, nn.LinearInit(c, "hidden", x, 8, true, nn.XavierUniform(3, 8)))
	logits := nn.Linear(c, "head", hidden, 2, true)
	loss, accuracy := nn.CrossEntropy(c, logits, labels), nn.Accuracy(c, logits, labels)
	program, err := nn.Compile(c, engine, loss, loss, accuracy)
	if err != nil {
		fmt.Println(err)
		return
	}

	program.Bind(x, []float32{1, 0, 0, 0, 1, 0})
	program.Bind(labels, []float32{0, 1})
	for range 200 {
		if err := program.Run(); err != nil {
			fmt.Println(err)
			return
		}
		for i, gradient := range store.Gradients() {
			store.Values()[i] -= 0.5 * gradient
		}
	}
	fmt.Println("learned:", program.Value(loss)[0] < 0.05, "accuracy:", program.Value(accuracy)[0])
	// Output: learned: true accuracy: 1
}

// Errors stick to the Ctx and name the place in the model.
func ExampleCtx_Err() {
	c := nn.NewCtx(nn.NewStore(1), true).Scope("backbone")
	x := c.Input("x", 6, 4)
	x = nn.Attention(c, nn.Linear(c.Scope("blocks.0.attn"), "qkv", x, 10, true), 6, 2)
	nn.GELU(c, x) // does nothing: the graph has failed
	fmt.Println(c.Err())
	// Output: Attention backbone: 10 columns for 2 heads: columns must be a multiple of 3·heads
}
