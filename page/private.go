package page

import (
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// absolute finds absolute paths of any system in a text; what is left of them is their last element. Folders may have spaces
// in their names. Addresses of the web, whose slashes follow a colon, are no paths.
var absolute = regexp.MustCompile(`(^|[\s"'=(\[,])(?:~|[A-Za-z]:)?[/\\]+` +
	`(?:[^\s` + ends + `](?:[^\n` + ends + `]*[^\s` + ends + `])?[/\\]+)*([^\s` + ends + `]+)`)

// ends are the characters that end an element of a path, within brackets of a regular expression.
const ends = `"',:;()\[\]/\\`

// HidePaths leaves the last element of every absolute path in a text of many lines.
func HidePaths(text string) string { return absolute.ReplaceAllString(text, "$1$2") }

// HideConfigPaths leaves the last element of every path in a configuration, relative ones too, and of every address the
// host alone. A text that is no YAML is only treated by HidePaths.
func HideConfigPaths(config string) string {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(config), &document); err != nil {
		return HidePaths(config)
	}
	hideScalars(&document)
	var shown strings.Builder
	encoder := yaml.NewEncoder(&shown)
	encoder.SetIndent(2)
	if len(document.Content) == 0 || encoder.Encode(&document) != nil {
		return HidePaths(config)
	}
	return HidePaths(shown.String())
}

func hideScalars(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode {
		node.Value = LastElement(node.Value)
	}
	node.HeadComment, node.LineComment, node.FootComment = "", "", ""
	for _, child := range node.Content {
		hideScalars(child)
	}
}

// LastElement is what a person needs to recognise the path or the address that a setting is; other settings stay.
func LastElement(value string) string {
	if address, err := url.Parse(value); err == nil && address.Host != "" {
		return address.Scheme + "://" + address.Host
	}
	trimmed := strings.TrimRight(value, `/\`)
	last := trimmed[strings.LastIndexAny(trimmed, `/\`)+1:]
	if strings.Contains(value, "://") { // an address with mistakes may hold a password before its host
		last = last[strings.LastIndexByte(last, '@')+1:]
	}
	return last
}
