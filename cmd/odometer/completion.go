package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints a completion script, which knows what this build knows.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says where the script goes.
func (c *completionCmd) Help() string {
	return "bash: source <(odometer completion bash). zsh: source <(odometer completion zsh), after compinit. " +
		"fish: odometer completion fish > ~/.config/fish/completions/odometer.fish."
}

// Run prints the script.
func (c *completionCmd) Run(env *Env, app *app) error {
	var b strings.Builder
	switch root := app.parser.Model.Node; c.Shell {
	case "fish":
		fishCompletion(&b, root)
	case "zsh":
		b.WriteString("autoload -U +X bashcompinit && bashcompinit\n")
		bashCompletion(&b, root)
	default:
		bashCompletion(&b, root)
	}
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

// commandPath is what is typed after the program's name.
func commandPath(node *kong.Node) string {
	if node.Parent == nil {
		return ""
	}
	return strings.TrimSpace(commandPath(node.Parent) + " " + node.Name)
}

// eachCommand visits node and the commands below it that help lists.
func eachCommand(node *kong.Node, visit func(*kong.Node)) {
	visit(node)
	for _, child := range node.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			eachCommand(child, visit)
		}
	}
}

// flagsOf are a command's flags that help lists, those above it too.
func flagsOf(node *kong.Node) []*kong.Flag {
	var flags []*kong.Flag
	for n := node; n != nil; n = n.Parent {
		for _, flag := range n.Flags {
			if !flag.Hidden {
				flags = append(flags, flag)
			}
		}
	}
	return flags
}

// commandsOf are the names of the commands below another.
func commandsOf(node *kong.Node) []string {
	var names []string
	for _, child := range node.Children {
		if commandOf(node, child.Name) != nil {
			names = append(names, child.Name)
		}
	}
	return names
}

// argumentsOf are the values that a command's argument may have; help takes commands.
func argumentsOf(node *kong.Node) []string {
	if _, help := node.Target.Addr().Interface().(*helpCmd); help {
		return commandsOf(node.Parent)
	}
	var values []string
	for _, arg := range node.Positional {
		if arg.Enum != "" {
			values = append(values, arg.EnumSlice()...)
		}
	}
	return values
}

// wordsOf are what may follow a command: commands, flags, an argument's values.
func wordsOf(node *kong.Node) []string {
	words := commandsOf(node)
	words = append(words, argumentsOf(node)...)
	for _, flag := range flagsOf(node) {
		words = append(words, "--"+flag.Name)
	}
	return words
}

// bashCompletion finds the command in the words before the one at the cursor,
// and offers what it takes; where a flag takes one of some values, those.
func bashCompletion(b *strings.Builder, root *kong.Node) {
	var commands, words, values strings.Builder
	eachCommand(root, func(node *kong.Node) {
		path := commandPath(node)
		if path != "" {
			fmt.Fprintf(&commands, "|%q", path)
		}
		fmt.Fprintf(&words, "    %q) words=%q ;;\n", path, strings.Join(wordsOf(node), " "))
		for _, flag := range flagsOf(node) {
			switch {
			case flag.Enum != "":
				fmt.Fprintf(&values, "    %q) words=%q ;;\n", path+" --"+flag.Name, strings.Join(flag.EnumSlice(), " "))
			case !flag.IsBool():
				fmt.Fprintf(&values, "    %q) words= ;;\n", path+" --"+flag.Name)
			}
		}
	})
	fmt.Fprintf(b, `_odometer() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" command= words= next i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="${command:+$command }${COMP_WORDS[i]}"
    case "$next" in
    %s) command="$next" ;;
    esac
  done
  case "$command" in
%s  esac
  case "$command $prev" in
%s  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _odometer odometer
`, strings.TrimPrefix(commands.String(), "|"), words.String(), values.String())
}

// fishCompletion writes a line for each command and flag.
func fishCompletion(b *strings.Builder, root *kong.Node) {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'" }
	eachCommand(root, func(node *kong.Node) {
		condition := "__fish_use_subcommand"
		if path := strings.Fields(commandPath(node)); len(path) > 0 {
			condition = "__fish_seen_subcommand_from " + strings.Join(path, "; and __fish_seen_subcommand_from ")
		}
		below := condition // as long as none of them is there
		if names := commandsOf(node); node.Parent != nil && len(names) > 0 {
			below += "; and not __fish_seen_subcommand_from " + strings.Join(names, " ")
		}
		for _, child := range node.Children {
			if commandOf(node, child.Name) != nil {
				fmt.Fprintf(b, "complete -c odometer -f -n %s -a %s -d %s\n", quote(below), child.Name, quote(child.Help))
			}
		}
		if values := argumentsOf(node); len(values) > 0 {
			fmt.Fprintf(b, "complete -c odometer -f -n %s -a %s\n", quote(condition), quote(strings.Join(values, " ")))
		}
		for _, flag := range node.Flags {
			if flag.Hidden {
				continue
			}
			fmt.Fprintf(b, "complete -c odometer -n %s -l %s -d %s", quote(condition), flag.Name, quote(flag.Help))
			switch {
			case flag.Enum != "":
				fmt.Fprintf(b, " -x -a %s", quote(strings.Join(flag.EnumSlice(), " ")))
			case !flag.IsBool():
				b.WriteString(" -r")
			}
			b.WriteString("\n")
		}
	})
}
