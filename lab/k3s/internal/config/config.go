// Package config reads k3s's configuration as k3s does: config.yaml, then config.yaml.d in name order, environment, command line.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"
)

// Config is the merged configuration of one `k3s server` or `k3s agent`.
type Config struct {
	Server   bool
	Warnings []string
	values   map[string][]string
}

// Load merges what files, environment and arguments say. The file is K3S_CONFIG_FILE, --config or /etc/rancher/k3s/config.yaml.
func Load(server bool, args []string, getenv func(string) string) (*Config, error) {
	c := &Config{Server: server, values: map[string][]string{}}
	line, file, err := c.parseArgs(args)
	if err != nil {
		return nil, err
	}
	if file == "" {
		file = getenv("K3S_CONFIG_FILE")
	}
	if file == "" {
		file = "/etc/rancher/k3s/config.yaml"
	}
	for variable, key := range environment {
		if value := getenv(variable); value != "" && c.known(key) {
			c.values[key] = []string{value}
		}
	}
	if err := c.readFiles(file); err != nil {
		return nil, err
	}
	for key, values := range line {
		c.values[key] = values
	}
	sort.Strings(c.Warnings)
	return c, c.check()
}

func (c *Config) known(key string) bool {
	f, ok := flags[key]
	return ok && (c.Server && f.server || !c.Server && f.agent)
}

func (c *Config) readFiles(file string) error {
	files := []string{file}
	more, err := filepath.Glob(file + ".d/*.yaml")
	if err != nil {
		return err
	}
	sort.Strings(more)
	merged := map[string][]string{}
	for _, path := range append(files, more...) {
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		if err := merge(merged, data); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for key, values := range merged {
		if !c.known(key) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("Unknown flag --%s found in config.yaml, skipping", key))
			continue
		}
		c.values[key] = values
	}
	return nil
}

// merge lays one file's keys over what earlier files said: a key replaces, `key+` appends.
func merge(into map[string][]string, data []byte) error {
	var document map[string]any
	if err := yaml.Unmarshal(data, &document); err != nil {
		return err
	}
	appended := map[string][]string{}
	for key, value := range document {
		values, err := texts(value)
		if err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
		if plain, ok := strings.CutSuffix(key, "+"); ok {
			appended[plain] = values
		} else {
			into[key] = values
		}
	}
	for key, values := range appended {
		into[key] = slices.Concat(into[key], values)
	}
	return nil
}

func texts(value any) ([]string, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []any:
		var all []string
		for _, item := range v {
			one, err := texts(item)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	case map[string]any:
		return nil, fmt.Errorf("a mapping is no value of a k3s flag")
	case float64: // every YAML number: integers must not come out as 1e+06
		return []string{strings.TrimSuffix(fmt.Sprintf("%f", v), ".000000")}, nil
	default:
		return []string{fmt.Sprint(v)}, nil
	}
}

// parseArgs reads --key=value, --key value and --flag; a list given here replaces the file's.
func (c *Config) parseArgs(args []string) (values map[string][]string, file string, err error) {
	values = map[string][]string{}
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--")
		if !ok {
			return nil, "", fmt.Errorf("argument %q: flags start with --", args[i])
		}
		name, value, given := strings.Cut(name, "=")
		if name != "config" && !c.known(name) {
			return nil, "", fmt.Errorf("flag provided but not defined: -%s", name)
		}
		if !given && flags[name].kind == Bool {
			value, given = "true", true
		}
		if !given {
			i++
			if i == len(args) {
				return nil, "", fmt.Errorf("flag needs an argument: -%s", name)
			}
			value = args[i]
		}
		switch {
		case name == "config":
			file = value
		case flags[name].kind == List || flags[name].kind == Commas:
			values[name] = append(values[name], value)
		default:
			values[name] = []string{value}
		}
	}
	return values, file, nil
}

// check stops at what k3s would honour and the stand-in would not.
func (c *Config) check() error {
	for key, values := range c.values {
		f := flags[key]
		if f.kind == Bool && len(values) == 1 && !slices.Contains([]string{"true", "false"}, values[0]) {
			return fmt.Errorf("config key %s: %q is neither true nor false", key, values[0])
		}
		unset := len(values) == 0 || len(values) == 1 && (values[0] == "" || f.kind == Bool && values[0] == "false")
		if f.support == refused && !unset {
			return fmt.Errorf("config key %s is known to k3s, but not implemented by this stand-in: leave it out (lab/k3s/README.md lists what it carries)", key)
		}
	}
	for _, name := range c.List("disable") {
		if !slices.Contains(Packaged, name) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("disable: k3s packages no %q", name))
		}
	}
	if backend := c.Text("flannel-backend"); c.Server && !slices.Contains([]string{"none", "vxlan", "host-gw"}, backend) {
		return fmt.Errorf("flannel-backend %q is not carried by this stand-in: choose none, vxlan or host-gw", backend)
	}
	return nil
}

// Text is the value of a key, or its default.
func (c *Config) Text(key string) string {
	f := mustKnow(key)
	if values := c.values[key]; len(values) > 0 && values[len(values)-1] != "" {
		return values[len(values)-1]
	}
	return f.fallback
}

// Bool is true when the key was set to true.
func (c *Config) Bool(key string) bool { return c.Text(key) == "true" }

// List holds a repeatable key's values.
func (c *Config) List(key string) []string {
	f := mustKnow(key)
	var all []string
	for _, value := range c.values[key] {
		if f.kind == Commas {
			for part := range strings.SplitSeq(value, ",") {
				if part = strings.TrimSpace(part); part != "" {
					all = append(all, part)
				}
			}
		} else if value != "" {
			all = append(all, value)
		}
	}
	return all
}

// Disabled tells whether a packaged add-on is to be left out.
func (c *Config) Disabled(addon string) bool { return slices.Contains(c.List("disable"), addon) }

// Path joins names below the data directory.
func (c *Config) Path(names ...string) string {
	return filepath.Join(append([]string{c.Text("data-dir")}, names...)...)
}

// Secret is the value of `key`, or the content of the file that `key`-file names.
func (c *Config) Secret(key string) (string, error) {
	if value := c.Text(key); value != "" {
		return value, nil
	}
	file := c.Text(key + "-file")
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	return strings.TrimSpace(string(data)), err
}

func mustKnow(key string) flag {
	f, ok := flags[key]
	if !ok {
		panic("no such k3s flag: " + key)
	}
	return f
}
