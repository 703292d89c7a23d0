// Package nn builds, differentiates and runs neural networks on float32 matrices.
//
// A network is a gorgonia expression graph whose operations are all ours: every activation is a row-major matrix of
// rows × channels, where a row is one position (token or pixel) of one view, and a loss is a scalar. Models are
// written against a Ctx with package functions (Linear, LayerNorm, Attention, Conv, …); Compile then plans all
// buffers of a graph into one arena and returns a Program, whose Run is a flat list of kernel calls that allocates
// nothing. The example of Compile shows all of it.
//
// Several graphs may share one Store: one a batch size, one for training and one for evaluation. Errors while
// building stick to the Ctx, so that models need not check every call; Compile returns the first one.
//
// Of the other packages only those that build graphs name gorgonia, and only its type *Node.
package nn
