// Package cluster holds what servers and agents must agree on, and where a server keeps it.
package cluster

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"rackstart.dev/lab/k3s/internal/pki"
)

// Version is what the binary answers and the tests of the roles see: k3s's release, marked.
const Version = "v1.34.4+k3s1"

// Settings are the cluster-wide values that agents take from a server and that all servers must share.
type Settings struct {
	ClusterCIDR, ServiceCIDR, ClusterDNS, ClusterDomain, FlannelBackend string
	DisableKubeProxy, DisableNetworkPolicy                              bool
}

// SettingsFile is where a server keeps the settings, below Dir: the API server's process serves it.
const SettingsFile = "etc/settings.json"

// Dir is a server's directory below the data directory.
type Dir string

// File is a path below the server's directory.
func (d Dir) File(name string) string { return filepath.Join(string(d), name) }

// Authorities are the cluster's CAs by the names of their files below tls/.
var Authorities = []string{"server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"}

// Shared lists the files, below Dir, that make a server one of this cluster: a joining server gets them from one that is in it.
func (d Dir) Shared() []string {
	files := []string{"tls/service.key", "cred/passwd"}
	for _, name := range Authorities {
		files = append(files, "tls/"+name+".crt", "tls/"+name+".key")
	}
	return files
}

// Authority loads one of Authorities.
func (d Dir) Authority(name string) (*pki.Authority, error) {
	return pki.LoadAuthority(d.File("tls/"+name+".crt"), d.File("tls/"+name+".key"))
}

// Members are a cluster's etcd members as a joining server asks for them.
type Members struct {
	ClientURLs []string `json:"clientURLs"`
}

// SaveSettings writes SettingsFile.
func (d Dir) SaveSettings(s Settings) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return pki.WriteFile(d.File(SettingsFile), data, 0o600)
}

// Same fails, naming the fields, when another server's settings (SettingsFile's content) differ from these.
func (s Settings) Same(other []byte) error {
	var theirs Settings
	if err := json.Unmarshal(other, &theirs); err != nil {
		return err
	}
	var fields []string
	mine, with := reflect.ValueOf(s), reflect.ValueOf(theirs)
	for i := range mine.NumField() {
		if !mine.Field(i).Equal(with.Field(i)) {
			fields = append(fields, mine.Type().Field(i).Name)
		}
	}
	if fields == nil {
		return nil
	}
	return fmt.Errorf("critical configuration value mismatch between servers: %s", strings.Join(fields, ", "))
}

// Passwords are the join passwords by user: node and server.
func (d Dir) Passwords() (map[string]string, error) {
	file, err := os.Open(d.File("cred/passwd"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, err
	}
	passwords := map[string]string{}
	for _, row := range rows {
		passwords[row[1]] = row[0]
	}
	return passwords, nil
}

// SavePasswords writes cred/passwd as k3s does.
func (d Dir) SavePasswords(server, node string) error {
	var text strings.Builder
	rows := csv.NewWriter(&text)
	if err := rows.WriteAll([][]string{{node, "node", "node", "k3s:agent"}, {server, "server", "server", "k3s:server"}}); err != nil {
		return err
	}
	return pki.WriteFile(d.File("cred/passwd"), []byte(text.String()), 0o600)
}
