package main

import (
	"context"
	"strings"

	"github.com/alecthomas/kong"
)

// helpCmd is --help as a command.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"Command to explain. None: all commands."`
}

// Run prints the help of the command that is named.
func (c *helpCmd) Run(ctx context.Context, env *Env, app *app) error {
	node := app.parser.Model.Node
	for i, name := range c.Command {
		if node = commandOf(node, name); node == nil {
			return usageErrorf("there is no command %q; `odometer help` lists them", strings.Join(c.Command[:i+1], " "))
		}
	}
	run(ctx, env, append(c.Command[:len(c.Command):len(c.Command)], "--help"))
	return nil
}

// commandOf is the command of that name below another.
func commandOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Type == kong.CommandNode && child.Name == name && !child.Hidden {
			return child
		}
	}
	return nil
}
