# The first numbers of every generator of a fresh interpreter.
import random, secrets, ssl, tempfile, uuid

RANDOM = {
    "os.urandom": os.urandom(16).hex(),
    "random.random": repr([random.random() for _ in range(2)]),
    "random.Random": repr(random.Random().random()),
    "random.getrandbits": str(random.getrandbits(128)),
    "secrets": secrets.token_hex(16),
    "uuid4": str(uuid.uuid4()),
    "uuid1": str(uuid.uuid1()),
    "ssl": ssl.RAND_bytes(16).hex(),
    "tempfile": os.path.basename(tempfile.mktemp()),
}
if "numpy" in sys.modules:
    import numpy

    RANDOM["numpy.random"] = repr(numpy.random.random(2).tolist())
    RANDOM["numpy.default_rng"] = repr(numpy.random.default_rng().random(2).tolist())
    RANDOM["numpy.RandomState"] = repr(numpy.random.RandomState().random_sample(2).tolist())
print(json.dumps(RANDOM))
