"""Images that say they are for a machine which nobody here has."""

import hashlib
import io
import json
import tarfile


def made_for_another_machine(engine, image_id):
    """The same image, which says that it is for a mainframe."""
    content = io.BytesIO(b"".join(engine.images.get(image_id).save()))
    changed = io.BytesIO()
    with tarfile.open(fileobj=content) as old, tarfile.open(fileobj=changed, mode="w") as new:
        manifest = json.load(old.extractfile("manifest.json"))
        config_name = manifest[0]["Config"]
        config = json.load(old.extractfile(config_name)) | {"architecture": "s390x"}
        text = json.dumps(config).encode()
        manifest[0]["Config"] = f"{hashlib.sha256(text).hexdigest()}.json"
        replaced = {
            manifest[0]["Config"]: text,
            "manifest.json": json.dumps(manifest).encode(),
        }
        for entry in old:
            if entry.name not in (config_name, "manifest.json", "repositories"):
                new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)
        for name, data in replaced.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))
    changed.seek(0)
    [image] = engine.images.load(changed)
    return image.id
