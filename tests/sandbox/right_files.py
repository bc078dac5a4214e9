"""Right programs that use files, databases and the machine; see `right_programs`."""
# ruff: noqa: E501 - programs as people write them

from __future__ import annotations

FILES: dict[str, str] = {
    "tempfile": r"""
import os, tempfile
def run():
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b'abc')
        file.flush()
        size = os.path.getsize(file.name)
    with tempfile.TemporaryFile('w+') as other, tempfile.SpooledTemporaryFile(10) as spooled:
        other.write('x')
        spooled.write(b'y' * 20)
        other.seek(0)
        return size, other.read(), os.path.exists(folder), os.path.isdir(tempfile.gettempdir())
# test
assert run() == (3, 'x', False, True)
""",
    "a file in /tmp": r"""
import os
def keep(text):
    with open('/tmp/notes.txt', 'w') as file: file.write(text)
    os.makedirs('/tmp/some/folder', exist_ok=True)
    return open('/tmp/notes.txt').read(), os.listdir('/tmp/some')
# test
assert keep('hello') == ('hello', ['folder'])
# test
assert open('/tmp/notes.txt').read() == 'hello'
""",
    "folders that need not be": r"""
import os, pathlib
def there(): return [os.path.isdir(name) for name in ('/', '/tmp', '/usr', '/dev', '/nowhere')]
def home(): return pathlib.Path.home().exists(), os.access('.', os.W_OK), pathlib.Path('x').resolve().name
# test
assert there() == [True] * 4 + [False] and home() == (True, True, 'x')
""",
    "a file that two tests use": r"""
import json, os
def add(name, value):
    known = json.load(open('store.json')) if os.path.exists('store.json') else {}
    known[name] = value
    with open('store.json', 'w') as file: json.dump(known, file)
    return len(known)
# test
assert add('a', 1) == 1
# test
assert add('b', 2) == 2
""",
    "a database that two tests use": r"""
import sqlite3
def add(name):
    with sqlite3.connect('people.db') as database:
        database.execute('create table if not exists people (id integer primary key, name text)')
        database.execute('insert into people (name) values (?)', (name,))
        return database.execute('select count(*), max(name) from people').fetchone()
# test
assert add('Ada') == (1, 'Ada')
# test
assert add('Grace') == (2, 'Grace')
""",
    "sqlite in memory": r"""
import sqlite3
def run():
    database = sqlite3.connect(':memory:')
    database.row_factory = sqlite3.Row
    database.create_function('double', 1, lambda x: 2 * x)
    database.executescript('create table t (a, b); create index i on t (a);')
    database.executemany('insert into t values (?, ?)', [(n, str(n)) for n in range(5)])
    database.commit()
    try:
        with database:
            database.execute('delete from t')
            raise KeyError
    except KeyError: pass
    return [tuple(row) for row in database.execute('select double(a), b from t where a > 2')]
# test
assert run() == [(6, '3'), (8, '4')]
""",
    "links and glob": r"""
import glob, os, pathlib
def run():
    pathlib.Path('data/deep').mkdir(parents=True)
    for name in ('data/a.txt', 'data/deep/b.txt'): pathlib.Path(name).write_text(name)
    os.symlink('a.txt', 'data/link.txt')
    os.link('data/a.txt', 'data/hard.txt')
    found = sorted(glob.glob('data/**/*.txt', recursive=True))
    same = os.path.samefile('data/a.txt', 'data/link.txt'), os.stat('data/a.txt').st_nlink
    return found, same, os.readlink('data/link.txt'), len(list(pathlib.Path('.').rglob('*.txt')))
# test
assert run() == (['data/a.txt', 'data/deep/b.txt', 'data/hard.txt', 'data/link.txt'],
                 (True, 2), 'a.txt', 4)
""",
    "copies, moves and modes": r"""
import os, pathlib, shutil
def run():
    one = pathlib.Path('one')
    one.write_bytes(b'x' * 100_000)
    shutil.copy2(one, 'two')
    shutil.move('two', 'three')
    os.replace('three', 'four')
    os.makedirs('tree/sub')
    shutil.copytree('tree', 'copy')
    shutil.rmtree('tree')
    walked = [(folder, sorted(folders), files) for folder, folders, files in os.walk('copy')]
    return pathlib.Path('four').stat().st_size, walked, os.path.exists('tree')
# test
assert run() == (100_000, [('copy', ['sub'], []), ('copy/sub', [], [])], False)
""",
    "archives": r"""
import bz2, gzip, io, lzma, tarfile, zipfile, zlib
def run(data):
    with zipfile.ZipFile('x.zip', 'w', zipfile.ZIP_DEFLATED) as archive: archive.writestr('a/b', data)
    with tarfile.open('x.tar.gz', 'w:gz') as archive:
        info = tarfile.TarInfo('c')
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    with gzip.open('x.gz', 'wb') as file: file.write(data)
    both = bz2.decompress(bz2.compress(data)), lzma.decompress(lzma.compress(data))
    return [zipfile.ZipFile('x.zip').read('a/b'), tarfile.open('x.tar.gz').extractfile('c').read(),
            gzip.open('x.gz').read(), zlib.decompress(zlib.compress(data)), *both]
# test
assert run(b'hello' * 100) == [b'hello' * 100] * 6
""",
    "csv, json and ini": r"""
import configparser, csv, json
def table(rows):
    with open('t.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, ['name', 'age'])
        writer.writeheader()
        writer.writerows(rows)
    with open('t.csv', newline='') as file: return list(csv.DictReader(file))
def settings(text):
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}
# test
assert table([{'name': 'A, "B"', 'age': 3}]) == [{'name': 'A, "B"', 'age': '3'}]
# test
assert settings('[a]\nx = 1\n') == {'a': {'x': '1'}}
""",
    "xml and html": r"""
import html.parser, xml.dom.minidom, xml.etree.ElementTree as ET
def titles(text): return [node.text for node in ET.fromstring(text).iter('title')]
def written():
    root = ET.Element('r', a='1')
    ET.SubElement(root, 'c').text = '<&>'
    ET.ElementTree(root).write('r.xml', encoding='utf-8')
    return xml.dom.minidom.parse('r.xml').documentElement.getAttribute('a'), ET.parse('r.xml').find('c').text
class Links(html.parser.HTMLParser):
    found = ()
    def handle_starttag(self, tag, attrs):
        if tag == 'a': self.found += (dict(attrs)['href'],)
def links(text):
    parser = Links()
    parser.feed(text)
    return parser.found
# test
assert titles('<r><title>A</title><x><title>B</title></x></r>') == ['A', 'B']
# test
assert written() == ('1', '<&>')
# test
assert links('<p><a href=x>1</a><a href="y">2</a>') == ('x', 'y')
""",
    "logging": r"""
import io, logging, logging.handlers
def run():
    stream = io.StringIO()
    log = logging.getLogger('own.part')
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter('%(levelname)s:%(name)s:%(message)s'))
    log.addHandler(handler)
    log.addHandler(logging.handlers.RotatingFileHandler('x.log', maxBytes=1000, backupCount=1))
    log.setLevel(logging.INFO)
    log.debug('no')
    log.info('yes %d', 1)
    try: 1 / 0
    except ZeroDivisionError: log.exception('bad')
    return stream.getvalue().splitlines()[:2], open('x.log').readline()
# test
assert run() == (['INFO:own.part:yes 1', 'ERROR:own.part:bad'], 'yes 1\n')
""",
    "its own file and source": r"""
import inspect, os
def head(): return open(__file__).readline(), os.path.basename(__file__)
def source(): return inspect.getsource(source)
# test
assert head() == ('\n', 'solution.py')
# test
assert source() == 'def source(): return inspect.getsource(source)\n'
""",
    "a module that it wrote": r"""
import importlib, pathlib, sys
def run(value):
    pathlib.Path('plug_in.py').write_text(f'VALUE = {value!r}\ndef get(): return VALUE\n')
    import plug_in
    pathlib.Path('plug_in.py').write_text('VALUE = "again, and longer"\n')
    importlib.invalidate_caches()
    return plug_in.get(), importlib.reload(plug_in).VALUE
def package():
    pathlib.Path('bundle').mkdir()
    pathlib.Path('bundle/__init__.py').write_text('from .part import x\n')
    pathlib.Path('bundle/part.py').write_text('x = 5\n')
    return importlib.import_module('bundle').x
# test
assert run([1]) == ([1], 'again, and longer')
# test
assert package() == 5
""",
    "memory maps and structures": r"""
import mmap, struct
def run():
    with open('m.bin', 'wb') as file: file.write(struct.pack('<3if', 1, 2, 3, 0.5))
    with open('m.bin', 'r+b') as file, mmap.mmap(file.fileno(), 0) as area:
        area[0:4] = struct.pack('<i', 9)
        area.flush()
        found = struct.unpack_from('<3if', area)
    with mmap.mmap(-1, 4096) as block:
        block.write(b'abc')
        return found, block[:3], struct.calcsize('>hhl'), list(struct.iter_unpack('<H', b'\1\0\2\0'))
# test
assert run() == ((9, 2, 3, 0.5), b'abc', 8, [(1,), (2,)])
""",
    "stores of objects": r"""
import dbm.dumb, pickle, shelve
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
def run():
    with shelve.Shelf(dbm.dumb.open('shelf', 'c')) as shelf: shelf['p'] = Point(3)
    with shelve.Shelf(dbm.dumb.open('shelf', 'r')) as shelf: first = shelf['p'] == Point(3)
    with open('p.pickle', 'wb') as file: pickle.dump([Point(1), Point], file)
    with open('p.pickle', 'rb') as file: return first, pickle.load(file) == [Point(1), Point]
# test
assert run() == (True, True)
""",
    "texts in odd encodings": r"""
import codecs, sys
def run():
    with open('latin.txt', 'w', encoding='latin-1') as file: file.write('grüße\n')
    with codecs.open('u16.txt', 'w', 'utf-16') as file: file.write('日本')
    raw = open('latin.txt', 'rb').read()
    return raw, codecs.open('u16.txt', encoding='utf-16').read(), raw.decode('utf-8', 'replace')
def shown(): print('half of a pair: \ud83d', '\udcff', file=sys.stderr); print('\ud800'); return 1
# test
assert run() == (b'gr\xfc\xdfe\n', '日本', 'gr\ufffd\ufffde\n')
# test
assert shown() == 1
""",
    "the machine and its settings": r"""
import getpass, locale, os, platform, resource, shutil, sys, sysconfig
def run():
    locale.setlocale(locale.LC_ALL, '')
    os.environ['OWN'] = '1'
    return (platform.system(), os.cpu_count() >= 1, locale.str(1.5), os.getenv('OWN'),
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0, shutil.which('sh') is not None,
            sys.byteorder, os.path.isdir(sysconfig.get_path('stdlib')),
            os.path.isdir(os.path.expanduser('~')), len(getpass.getuser()) > 0, len(os.urandom(8)), shutil.disk_usage('.').free > 0)
# test
assert run() == ('Linux', True, '1.5', '1', True, True, 'little', True, True, True, 8, True)
""",
    "pictures of matplotlib": r"""
import matplotlib.pyplot as plt
def picture():
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [1, 4, 9], label='x')
    axes.legend()
    figure.savefig('x.png')
    plt.close(figure)
    return open('x.png', 'rb').read(4)
# test
assert picture() == b'\x89PNG'
""",
}
