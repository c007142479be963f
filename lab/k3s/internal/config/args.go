package config

import (
	"sort"
	"strings"
)

// Arguments turns defaults and the user's `X-arg` list (key=value, or key alone for true) into command line flags, as k3s does:
// a key given by the user replaces the default, and each of its values is passed.
func Arguments(defaults map[string]string, extra []string) []string {
	values := map[string][]string{}
	for key, value := range defaults {
		values[key] = []string{value}
	}
	replaced := map[string]bool{}
	for _, item := range extra {
		key, value, ok := strings.Cut(strings.TrimLeft(item, "-"), "=")
		if !ok {
			value = "true"
		}
		if !replaced[key] {
			replaced[key], values[key] = true, nil
		}
		values[key] = append(values[key], value)
	}
	var args []string
	for key, all := range values {
		for _, value := range all {
			args = append(args, "--"+key+"="+value)
		}
	}
	sort.SliceStable(args, func(a, b int) bool { return flagName(args[a]) < flagName(args[b]) })
	return args
}

func flagName(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	return name
}
