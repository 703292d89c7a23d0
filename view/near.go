package view

import "io"

// Near is what the page of a search shows.
type Near struct {
	Title   string   `json:"title"`
	About   string   `json:"about"`
	Answers []Answer `json:"answers"`
	Sprites Sprites  `json:"sprites"`
	Count   int      `json:"count"` // of sprites
}

// Answer is a row of the page: a query and the pictures near it.
type Answer struct {
	Query Picture   `json:"query"`
	Near  []Picture `json:"near"`
}

// Picture is a captioned sprite.
type Picture struct {
	Sprite  int      `json:"sprite"`
	Caption string   `json:"caption"`
	Similar *float32 `json:"similar,omitempty"` // cosine to the query; nil for the query itself
}

// WriteHTML writes the page. It refers to nothing outside itself.
func (n Near) WriteHTML(w io.Writer) error { return writePage(w, "near", n.Title, n) }
