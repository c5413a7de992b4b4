import Base
import Glibc
import LogStore

/// The names on a simulated disk: what programs see, what a power cut leaves, and the changes between.
///
/// A name is a whole normalised path: `/`, `/data`, `/data/segment`. A change is atomic; it is durable
/// once a directory that it touches was synced. Files have one name at most.
struct SimulatedNames: Sendable {
    enum Entry: Hashable, Sendable {
        case file(Int)
        case directory
    }

    /// One atomic step of the journal: names given, or taken away.
    private struct Change: Sendable {
        let steps: [(name: String, entry: Entry?)]
        let directories: [String]
        /// The file that moves, if any; its changes are kept or lost in order.
        let inode: Int?
    }

    private var current: [String: Entry] = ["/": .directory]
    private var stable: [String: Entry] = ["/": .directory]
    private var journal: [Change] = []

    // MARK: - Looking

    subscript(path: String) -> Entry? { current[Self.normalised(path)] }

    func stableEntry(_ path: String) -> Entry? { stable[Self.normalised(path)] }

    /// The file's number, or the reason why there is none.
    func file(_ path: String, _ operation: String) throws(FileError) -> Int {
        try checkParent(path, operation)
        switch self[path] {
        case .file(let inode): return inode
        case .directory: throw .posix(EISDIR, operation, path)
        case nil: throw .posix(ENOENT, operation, path)
        }
    }

    func checkDirectory(_ path: String, _ operation: String) throws(FileError) {
        try checkParent(path, operation)
        switch self[path] {
        case .directory: return
        case .file: throw .posix(ENOTDIR, operation, path)
        case nil: throw .posix(ENOENT, operation, path)
        }
    }

    /// The names in a directory, sorted.
    func list(_ path: String) -> [String] {
        let directory = Self.normalised(path)
        return current.keys
            .filter { $0 != "/" && Self.parent(of: $0) == directory }
            .map { String($0[$0.index(after: $0.lastIndex(of: "/") ?? $0.startIndex)...]) }
            .sorted()
    }

    /// Files that have a name now.
    var namedFiles: Set<Int> { Self.files(in: current) }

    /// Files that have a name now, or could have one after a power cut.
    var reachableFiles: Set<Int> {
        var files = namedFiles.union(Self.files(in: stable))
        for change in journal {
            if let inode = change.inode { files.insert(inode) }
        }
        return files
    }

    /// The names of the files, by their numbers.
    var pathsOfFiles: [Int: String] {
        var paths: [Int: String] = [:]
        for (path, entry) in current {
            if case .file(let inode) = entry { paths[inode] = path }
        }
        return paths
    }

    private static func files(in names: [String: Entry]) -> Set<Int> {
        var files: Set<Int> = []
        for case .file(let inode) in names.values { files.insert(inode) }
        return files
    }

    // MARK: - Changing

    mutating func create(_ path: String, inode: Int) throws(FileError) {
        try checkParent(path, "open")
        guard self[path] == nil else { throw .posix(EEXIST, "open", path) }
        apply([(Self.normalised(path), .file(inode))], inode: inode)
    }

    mutating func rename(_ path: String, to newPath: String) throws(FileError) {
        let inode = try file(path, "rename")
        try checkParent(newPath, "rename")
        guard self[newPath] != .directory else { throw .posix(EISDIR, "rename", path) }
        let (old, new) = (Self.normalised(path), Self.normalised(newPath))
        guard old != new else { return }
        apply([(old, nil), (new, .file(inode))], inode: inode)
    }

    mutating func remove(_ path: String) throws(FileError) {
        let inode = try file(path, "remove")
        apply([(Self.normalised(path), nil)], inode: inode)
    }

    mutating func createDirectory(_ path: String) throws(FileError) {
        var name = ""
        for part in path.split(separator: "/") where part != "." {
            name += "/\(part)"
            switch current[name] {
            case .directory: continue
            case .file: throw .posix(ENOTDIR, "create directory", path)
            case nil: apply([(name, .directory)], inode: nil)
            }
        }
    }

    private mutating func apply(_ steps: [(name: String, entry: Entry?)], inode: Int?) {
        for step in steps { current[step.name] = step.entry }
        journal.append(
            Change(steps: steps, directories: steps.map { Self.parent(of: $0.name) }, inode: inode)
        )
    }

    private func checkParent(_ path: String, _ operation: String) throws(FileError) {
        let name = Self.normalised(path)
        guard name != "/" else { return }
        let parent = Self.parent(of: name)
        var nearest = parent
        while current[nearest] == nil { nearest = Self.parent(of: nearest) }
        guard current[nearest] == .directory else { throw .posix(ENOTDIR, operation, path) }
        guard nearest == parent else { throw .posix(ENOENT, operation, path) }
    }

    // MARK: - Durability

    /// Makes the changes that touch a directory durable, with what those of the same files need.
    mutating func sync(_ path: String) {
        let directory = Self.normalised(path)
        var inodes: Set<Int> = []
        var isDue = [Bool](repeating: false, count: journal.count)
        for (index, change) in journal.enumerated().reversed() {
            isDue[index] =
                change.directories.contains(directory)
                || change.inode.map { inodes.contains($0) } == true
            if isDue[index], let inode = change.inode { inodes.insert(inode) }
        }
        for (index, change) in journal.enumerated() where isDue[index] { makeStable(change) }
        journal = zip(journal, isDue).filter { !$0.1 }.map(\.0)
    }

    /// Leaves what a power cut leaves.
    ///
    /// In order, it keeps of each directory's unsynced changes the first few; out of order, any of
    /// them. What a lost change moved is not moved by a later one.
    mutating func crash(
        inOrder: Bool,
        _ generator: inout SeededGenerator,
        _ tell: ((String) -> Void)? = nil
    ) {
        var lostFiles: Set<Int> = []
        var closedDirectories: Set<String> = []
        let lossIn = [1, 2, 4, 16].randomElement(using: &generator) ?? 1
        let keepsAll = generator.oneIn(3)
        for change in journal {
            var isLost = !keepsAll && generator.oneIn(lossIn)
            if let inode = change.inode, lostFiles.contains(inode) { isLost = true }
            if inOrder && !closedDirectories.isDisjoint(with: change.directories) { isLost = true }
            guard isLost else {
                makeStable(change)
                continue
            }
            if let inode = change.inode { lostFiles.insert(inode) }
            closedDirectories.formUnion(change.directories)
            if let tell {
                let steps = change.steps.map { "\($0.name) \($0.entry == nil ? "goes" : "comes")" }
                tell("never happened: \(steps.joined(separator: ", "))")
            }
        }
        journal.removeAll()
        // Sorted, a directory comes before what is in it.
        for name in stable.keys.sorted() where name != "/" {
            if stable[Self.parent(of: name)] != .directory { stable[name] = nil }
        }
        current = stable
    }

    private mutating func makeStable(_ change: Change) {
        for step in change.steps { stable[step.name] = step.entry }
    }

    // MARK: - Paths

    private static func normalised(_ path: String) -> String {
        if path.utf8.first == UInt8(ascii: "/") && !path.contains("//") && !path.contains("/.")
            && (path.utf8.last != UInt8(ascii: "/") || path.utf8.count == 1)
        {
            return path
        }
        return "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    private static func parent(of name: String) -> String {
        guard let slash = name.lastIndex(of: "/"), slash != name.startIndex else { return "/" }
        return String(name[..<slash])
    }
}
