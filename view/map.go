package view

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
)

//go:embed page
var pages embed.FS

// Map is what the page of a map shows: points that are pictures.
type Map struct {
	Title      string    `json:"title"`
	About      string    `json:"about"` // one line on what is seen
	X          []float64 `json:"x"`     // of each point, 0 to 1
	Y          []float64 `json:"y"`
	Paths      []string  `json:"paths"`
	Groups     []Groups  `json:"groups"`     // ways to colour the points
	Neighbours [][]int   `json:"neighbours"` // of each point, the nearest first, in the space of features
	Similar    [][]Cos   `json:"similar"`    // their similarities
	Sprites    Sprites   `json:"sprites"`
}

// Cos is a cosine that a page gets with two digits.
type Cos float32

// MarshalJSON writes two digits.
func (c Cos) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.2f", float32(c)), nil }

// Groups is a division of the points, such as by label.
type Groups struct {
	Name  string   `json:"name"`
	Names []string `json:"names"` // of the groups
	Of    []int    `json:"of"`    // group of each point
}

// WriteHTML writes the page. It refers to nothing outside itself.
func (m Map) WriteHTML(w io.Writer) error { return writePage(w, "map", m.Title, m) }

// writePage fills the template of a kind of page with its style, its script and its data. JSON escapes <, > and &, so
// no name of a file ends the script early.
func writePage(w io.Writer, kind, title string, content any) error {
	part := func(name string) (string, error) {
		text, err := pages.ReadFile("page/" + name)
		return string(text), err
	}
	parsed, err := template.ParseFS(pages, "page/"+kind+".html")
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(content)
	if err != nil {
		return err
	}
	common, err := part("common.css")
	if err != nil {
		return err
	}
	style, err := part(kind + ".css")
	if err != nil {
		return err
	}
	script, err := part(kind + ".js")
	if err != nil {
		return err
	}
	return parsed.Execute(w, map[string]any{
		"Title": title, "Style": template.CSS(common + style), "Script": template.JS(script), "Data": template.JS(encoded),
	})
}
