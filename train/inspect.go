package train

// inspector takes a closer look at a step now and then: what each task asks of the shared trunk, and how far the step
// moved each block. It changes nothing of the training. A nil inspector never looks. One goroutine may use it.
type inspector struct {
	every     int // steps
	gradients *taskGradients
	updates   *updates
}

// Inspection is what a closer look at a step saw.
type Inspection struct {
	Conflicts             // of the first batch of the step
	ParameterNorm float64 // L2 norm of all parameters after the step
	Updates       []BlockUpdate
}

// newInspector prepares looks at every so many steps, the first one among them; 0 is never.
func newInspector(every int, parts StepParts, step *Step) (*inspector, error) {
	if every == 0 {
		return nil, nil
	}
	gradients, err := newTaskGradients(parts, step)
	return &inspector{every, gradients, newUpdates(parts.Store)}, err
}

// due says whether to look at the step after so many steps.
func (i *inspector) due(done int) bool { return i != nil && done%i.every == 0 }

// inspectionBytes is what the looks take beside the memory that they borrow of the step: the gradient of every task,
// the weights before a step, and the views once more.
func inspectionBytes(every, tasks int, parameters, inputs int64) int64 {
	if every == 0 {
		return 0
	}
	return int64(tasks+1)*parameters + inputs
}
