// Command service answers every picture that is sent to it with its features, as JSON: service RUN ADDRESS.
package main

import (
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"log"
	"net/http"
	"os"

	"pretrain"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: service RUN ADDRESS")
	}
	network, err := pretrain.OpenWith(os.Args[1], pretrain.Options{Layer: "best"})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /embed", func(w http.ResponseWriter, request *http.Request) {
		picture, _, err := image.Decode(http.MaxBytesReader(w, request.Body, 32<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		vectors, err := network.Embed(request.Context(), []image.Image{picture})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(vectors[0])
	})
	log.Fatal(http.ListenAndServe(os.Args[2], nil))
}
