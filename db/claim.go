package db

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// Claim is what a new instance asks for.
type Claim struct {
	// Instance gives name, image, template, layers, guest, profiles, configuration, devices, the ephemeral bit
	// and, unless it is zero, the time of creation. ID, Ready, IDMap and NICs are not read.
	Instance sysctl.Instance
	IDs      *IDBlock // nil: privileged
	NICs     []ClaimNIC
	MAC      MACFunc // for NICs without a MAC; nil: they get none
}

// IDBlock is where an instance's range of host ids is taken from: Base+k*Size for k < Count.
type IDBlock struct {
	Base, Size uint32
	Count      int
	Fixed      bool // it is this range and no other: whoever has some of it is named
	Shared     bool // others that share theirs may have the same range
}

// MACFunc derives the MAC of a NIC that was given none.
type MACFunc func(id int64, device string) string

// ClaimInstance makes the row of a new instance with everything it claims: name, id range, addresses. It returns
// the complete instance, which is not ready. The kind is Exists where the name, an address or a MAC is
// taken (the message says by whom), NotFound where a layer, profile or network is absent, NoSpace
// where no id range is left, Invalid where a profile or device is listed twice, an address is of the other
// family or the id block is empty; pickers add their own. Pickers and MAC run inside the transaction: they
// must not use the DB and must not take long.
//
// The image need not exist any more: layers are what an instance needs.
//
// The claim holds at once for everybody, but a power cut may take it back as long as the instance is not
// ready: MarkReady, which is on disk when it returns, brings everything before it there too.
func (d *DB) ClaimInstance(ctx context.Context, c Claim) (inst sysctl.Instance, err error) {
	err = d.growSoon(ctx, func(t *tx) error {
		id, err := t.insertInstance(ctx, c)
		if err != nil {
			return err
		}
		if err := t.setConfiguration(ctx, "instance", id, c.Instance.Config, c.Instance.Devices); err != nil {
			return err
		}
		if err := t.setProfiles(ctx, "instance", id, c.Instance.Profiles); err != nil {
			return err
		}
		if err := t.setLayers(ctx, "instance", id, c.Instance.Layers); err != nil {
			return err
		}
		if err := t.claimNICs(ctx, id, c.NICs, c.MAC); err != nil {
			return err
		}
		inst, err = instanceByID(ctx, t, id)
		return err
	})
	if err != nil {
		return sysctl.Instance{}, err
	}
	return inst, nil
}

// insertInstance makes the row itself, with its id range.
func (t *tx) insertInstance(ctx context.Context, c Claim) (int64, error) {
	inst := c.Instance
	if err := t.nameFree(ctx, inst.Name, 0); err != nil {
		return 0, err
	}
	var ids *sysctl.IDMap
	if c.IDs != nil {
		r, err := t.freeRange(ctx, *c.IDs, 0)
		if err != nil {
			return 0, err
		}
		ids = &r
	}
	base, size := ownIDs(ids)
	guest, err := guestText(inst.Guest)
	if err != nil {
		return 0, err
	}
	res, err := t.ExecContext(ctx, `INSERT INTO instances
		(name, ready, ephemeral, image_id, image, template, guest, id_base, id_size, created)
		VALUES (?1, 0, ?2, ?3, (SELECT id FROM images WHERE id = ?3), ?4, ?5, ?6, ?7, ?8)`,
		inst.Name, inst.Ephemeral, inst.Image, inst.Template, guest, base, size, nanos(t.orNow(inst.Created)))
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	if err == nil && ids != nil && ids.Shared {
		err = t.shareIDs(ctx, id, *ids)
	}
	return id, err
}
