// Loads Grafana dashboards with the types that Grafana generates from its own schema: a field that
// is unknown, of another type, or missing is an error, also in the options of a panel and in a
// query. It asks no Grafana, runs no query, and never changes a file.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: dashboard-check FILE...")
	}
	// Without them the options of panels and the queries are not checked.
	plugins.RegisterDefaultPlugins()
	failed := false
	for _, file := range os.Args[1:] {
		board, err := load(file)
		if err != nil {
			failed = true
			log.Printf("%s is no valid dashboard:\n%v", file, err)
			continue
		}
		fmt.Printf("%s: valid, %d panels and rows\n", file, len(board.Panels))
	}
	if failed {
		os.Exit(1)
	}
}

func load(file string) (*dashboard.Dashboard, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	board := &dashboard.Dashboard{}
	err = board.UnmarshalJSONStrict(text)
	// Without a finding it returns an empty list, which is not nil.
	var findings cog.BuildErrors
	if errors.As(err, &findings) && len(findings) == 0 {
		err = nil
	}
	return board, errors.Join(err, board.Validate())
}
