package etcd

import (
	"context"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rackstart.dev/lab/k3s/internal/cluster"
)

// Health is what the leader sees of one member.
type Health struct {
	Node            string
	Voter, Answered bool
}

// Leader calls `report` with every member's health while this server's member leads, once in 3 s, and promotes learners that have caught up.
func Leader(ctx context.Context, dir cluster.Dir, report func(context.Context, []Health) error) error {
	client, err := open(dir, localEndpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		if err := lead(ctx, client, report); err != nil && ctx.Err() == nil {
			logrus.Warnf("watching over the etcd members: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(3 * time.Second):
		}
	}
}

func lead(ctx context.Context, client *clientv3.Client, report func(context.Context, []Health) error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	status, err := client.Status(ctx, localEndpoint)
	if err != nil {
		return err
	}
	if status.Leader != status.Header.MemberId {
		return nil
	}
	list, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	var members []Health
	for _, member := range list.Members {
		if member.Name == "" {
			continue // added, not started yet
		}
		if member.IsLearner {
			if _, err := client.MemberPromote(ctx, member.ID); err == nil {
				member.IsLearner = false
			}
		}
		members = append(members, Health{nodeOf(member), !member.IsLearner, answers(ctx, client, member)})
	}
	return report(ctx, members)
}

func answers(ctx context.Context, client *clientv3.Client, member *etcdserverpb.Member) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if len(member.ClientURLs) == 0 {
		return false
	}
	_, err := client.Status(ctx, member.ClientURLs[0])
	return err == nil
}

// Remove takes the member of a deleted Node out of the cluster, as k3s does.
func Remove(ctx context.Context, dir cluster.Dir, node string) error {
	client, err := open(dir, localEndpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, member := range list.Members {
		if member.Name != "" && nodeOf(member) == node {
			logrus.Infof("removing etcd member %s of the deleted node %s", member.Name, node)
			if _, err := client.MemberRemove(ctx, member.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// nodeOf drops the random suffix of a member's name.
func nodeOf(member *etcdserverpb.Member) string {
	return member.Name[:max(strings.LastIndex(member.Name, "-"), 0)]
}
