package token

import (
	"regexp"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	hash := strings.Repeat("a1", 32)
	for text, want := range map[string]Token{
		"secret":                                {Password: "secret"},
		"K10 is how it begins":                  {Password: "K10 is how it begins"},
		"server:secret":                         {User: "server", Password: "secret"},
		"K10" + hash + "::server:secret":        {CAHash: hash, User: "server", Password: "secret"},
		"K10" + hash + "::node:with:colon":      {CAHash: hash, User: "node", Password: "with:colon"},
		"K10" + hash + "::abcdef.0123456789abc": {CAHash: hash, Password: "abcdef.0123456789abc"},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "server:", "K10abc::server:secret", "K10" + strings.Repeat("zz", 32) + "::server:secret"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", text, got)
		}
	}
}

func TestCheckPinsTheCA(t *testing.T) {
	pinned, err := Parse(Format([]byte("bundle"), "server", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pinned.Check([]byte("bundle")); err != nil {
		t.Error("the same CA:", err)
	}
	if err := pinned.Check([]byte("another")); err == nil {
		t.Error("another CA passes")
	}
	if err := (Token{Password: "secret"}).Check([]byte("any")); err != nil {
		t.Error("the short form pins nothing:", err)
	}
}

func TestBootstrapHasKubeadmsForm(t *testing.T) {
	if text := Bootstrap(); !regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`).MatchString(text) {
		t.Error(text)
	}
}
