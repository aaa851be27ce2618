// Loads a Compose file as Docker's own tools would: interpolation, defaults, and the
// specification's schema, with every profile on. It starts nothing and needs no Docker; it ends
// with an error when the file is not valid. Neither the environment nor an .env file is read, so
// the answer is about the file alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	log.SetFlags(0)
	asJSON := flag.Bool("json", false, "print the project as JSON")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: compose-check [-json] FILE")
	}
	file := flag.Arg(0)
	options, err := cli.NewProjectOptions([]string{file},
		cli.WithWorkingDirectory(filepath.Dir(file)), cli.WithProfiles([]string{"*"}), cli.WithName("millrace"))
	if err != nil {
		log.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if *asJSON {
		json, err := project.MarshalJSON()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(json))
		return
	}
	for _, name := range project.ServiceNames() {
		for _, port := range project.Services[name].Ports {
			fmt.Printf("%s publishes %s for its %d\n", name, port.Published, port.Target)
		}
	}
	fmt.Printf("%s: valid, %d services\n", file, len(project.Services))
}
