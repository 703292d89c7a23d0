package train

import "strings"

// backbonePrefix begins the names of the parameters that all tasks share.
const backbonePrefix = "backbone."

// blockOf is the block that a parameter belongs to: of the backbone the part up to a block's number, of a head all of
// its task.
func blockOf(parameter string) string {
	name, shared := strings.CutPrefix(parameter, backbonePrefix)
	parts := strings.Split(name, ".")
	numbered := len(parts) > 1 && strings.Trim(parts[1], "0123456789") == ""
	if len(parts) > 1 && (numbered || !shared) {
		return parts[0] + "." + parts[1]
	}
	return parts[0]
}
