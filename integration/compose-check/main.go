// Loads a Compose file as Docker's own tools would: interpolation, defaults, and the specification's schema, with every profile on. It
// starts nothing and needs no Docker; it ends with an error when the file is not valid.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: compose-check FILE")
	}
	options, err := cli.NewProjectOptions(os.Args[1:],
		cli.WithWorkingDirectory(filepath.Dir(os.Args[1])), cli.WithProfiles([]string{"*"}), cli.WithName("millrace"), cli.WithDotEnv)
	if err != nil {
		log.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range project.ServiceNames() {
		service := project.Services[name]
		if service.HealthCheck == nil {
			log.Printf("note: %s has no health check", name)
		}
		for _, port := range service.Ports {
			fmt.Printf("%s publishes %s for its %d\n", name, port.Published, port.Target)
		}
	}
	fmt.Printf("%s: valid, %d services\n", os.Args[1], len(project.Services))
}
