// Package program is the frame of a program that deploys one object as some controller does.
package program

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
)

// Main runs `<program> <command> [flags] < manifest` and ends the process; the manifest is JSON.
func Main(usage string, flags *flag.FlagSet, run func(command string, manifest map[string]any) error) {
	if err := start(usage, flags, run); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(usage string, flags *flag.FlagSet, run func(string, map[string]any) error) error {
	if len(os.Args) < 2 {
		return errors.New("usage: " + usage + " < manifest")
	}
	if err := flags.Parse(os.Args[2:]); err != nil {
		return err
	}
	var manifest map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&manifest); err != nil {
		return err
	}
	return run(os.Args[1], manifest)
}

// Print writes a value to stdout as a reader sees it: JSON without the escapes of HTML.
func Print(value any) error {
	answer := json.NewEncoder(os.Stdout)
	answer.SetEscapeHTML(false)
	return answer.Encode(value)
}
