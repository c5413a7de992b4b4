import Base
import Broker
import Glibc

// The users file. It is TOML, but only the few forms that `radiatord user` writes are read, and
// comments: whatever else stands in it is an error, and then nobody of it is let in.
//
//     [[user]]
//     name = "web"
//     hash = "$y$j9T$..."

/// Users with the hashes of their passcodes.
package struct UsersFile: Sendable, Equatable {
    /// By user.
    package private(set) var hashes: [String: String] = [:]

    /// More are no file by hand; each costs about 200 bytes.
    package static let usersMax = 10_000
    private static let fileBytesMax = 4 << 20
    private static let problemsMax = 100
    private static let lineExpected =
        "expected [[user]], name = \"...\", hash = \"...\" or a comment"
    private static let hashExpected =
        "is no hash that `radiatord user add` writes; add the user again"

    /// No users.
    package init() {}

    /// The users' names, in order.
    package var names: [String] { hashes.keys.sorted() }

    // MARK: Reading

    /// Reads the text of a file; throws every problem with its line, but none of its text.
    package init(
        parsing text: String,
        file: String,
        usersMax: Int = UsersFile.usersMax
    ) throws(ConfigurationError) {
        var problems: [ConfigurationProblem] = []
        func report(_ line: Int, _ text: String) {
            problems.append(ConfigurationProblem(place: "\(file):\(line)", text: text))
        }
        var entry: (line: Int, name: String?, hash: String?)?
        func finish() {
            guard let ended = entry else { return }
            entry = nil
            guard let name = ended.name, let hash = ended.hash else {
                report(ended.line, "[[user]] needs a name and a hash")
                return
            }
            if hashes[name] != nil { report(ended.line, "user \"\(name)\" is there twice") }
            hashes[name] = hash
        }
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, bytes) in lines.enumerated() where problems.count < Self.problemsMax {
            let number = index + 1
            switch Line(String(Substring(bytes))) {
            case .blank: continue
            case .header:
                finish()
                entry = (number, nil, nil)
            case .name(let name) where entry != nil && entry?.name == nil:
                if let problem = UserName.problem(name) { report(number, problem) }
                entry?.name = name
            case .hash(let hash) where entry != nil && entry?.hash == nil:
                if !PasscodeHash.isSupported(hash) { report(number, "hash " + Self.hashExpected) }
                entry?.hash = hash
            case .name, .hash, .other: report(number, Self.lineExpected)
            }
        }
        finish()
        if hashes.count > usersMax { report(1, "more users than \(usersMax)") }
        guard problems.isEmpty else {
            hashes = [:]
            throw ConfigurationError(problems: problems)
        }
    }

    /// One line of the file.
    private enum Line {
        case blank
        case header
        case name(String)
        case hash(String)
        case other

        init(_ text: String) {
            let line = Self.trimmed(text[...])
            if line.isEmpty || line.hasPrefix("#") {
                self = .blank
            } else if line == "[[user]]" {
                self = .header
            } else if let value = Self.value(of: "name", line) {
                self = .name(value)
            } else if let value = Self.value(of: "hash", line) {
                self = .hash(value)
            } else {
                self = .other
            }
        }

        /// The text between the quotes of `key = "text"`; there are no escapes.
        private static func value(of key: String, _ line: Substring) -> String? {
            guard line.hasPrefix(key) else { return nil }
            var rest = trimmed(line.dropFirst(key.count))
            guard rest.first == "=" else { return nil }
            rest = trimmed(rest.dropFirst())
            guard rest.unicodeScalars.count >= 2, rest.unicodeScalars.first == "\"",
                rest.unicodeScalars.last == "\""
            else { return nil }
            let value = String(rest.unicodeScalars.dropFirst().dropLast())
            return value.unicodeScalars.contains { $0 == "\"" || $0 == "\\" } ? nil : value
        }

        private static func trimmed(_ text: Substring) -> Substring {
            let isBlank = { (scalar: Unicode.Scalar) in
                scalar == " " || scalar == "\t" || scalar == "\r"
            }
            var scalars = text.unicodeScalars.drop(while: isBlank)
            while let last = scalars.last, isBlank(last) { scalars.removeLast() }
            return Substring(scalars)
        }
    }

    /// A file's users, and what is to be known of the file.
    struct Found {
        var users: UsersFile
        /// Others than its owner and group may read it, or others than its owner write.
        var isOpenToOthers: Bool
        var owner: uid_t
        var group: gid_t
        var mode: mode_t
    }

    /// Reads a file; nil if there is none.
    ///
    /// Blocks. `followsLinks`: false refuses a symbolic link.
    static func read(
        _ path: String,
        followsLinks: Bool = true
    ) throws(ConfigurationError) -> Found? {
        // Not blocking: opening a pipe would wait for its other end.
        let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW)
        let descriptor = open(path, flags)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            if errno == ELOOP, !followsLinks {
                throw failure(path, "is a symbolic link: name the file itself")
            }
            throw failure(path, "cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure(path, "is no regular file")
        }
        let text = try text(descriptor, path)
        return Found(
            users: try UsersFile(parsing: text, file: path),
            isOpenToOthers: status.st_mode & 0o026 != 0,
            owner: status.st_uid,
            group: status.st_gid,
            mode: status.st_mode & 0o7777
        )
    }

    private static func text(
        _ descriptor: Int32,
        _ path: String
    ) throws(ConfigurationError) -> String {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw failure(path, "cannot be read: \(String(cString: strerror(errno)))")
            }
            if count == 0 { break }
            bytes += piece[..<count]
            guard bytes.count <= fileBytesMax else {
                throw failure(path, "is larger than \(ByteCount(fileBytesMax)), so no users file")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure(path, "is no UTF-8 text")
        }
        return text
    }

    static func failure(_ path: String, _ text: String) -> ConfigurationError {
        ConfigurationError(problems: [ConfigurationProblem(place: path, text: text)])
    }

    /// What is wrong with the name of a user, or nil.
    package static func problem(name: String) -> String? { UserName.problem(name) }

    /// A name as somebody gave it, fit to be printed.
    package static func shown(_ name: String) -> String { UserName.shown(name) }

    /// The names of a file's users, in order.
    package static func names(in path: String) throws(ConfigurationError) -> [String] {
        guard let found = try read(path) else { throw failure(path, "does not exist") }
        return found.users.names
    }

    // MARK: Changing

    /// Gives a user a hash; false if he had another before.
    package mutating func set(_ hash: String, for user: String) -> Bool {
        hashes.updateValue(hash, forKey: user) == nil
    }

    /// Takes a user out; false if there is none.
    package mutating func remove(_ user: String) -> Bool {
        hashes.removeValue(forKey: user) != nil
    }

    /// The file's text.
    package var text: String {
        let users = hashes.sorted { $0.key < $1.key }.map { user in
            "\n[[user]]\nname = \"\(user.key)\"\nhash = \"\(user.value)\"\n"
        }
        return "# Users of radiator. `radiatord user add|remove` writes this file anew.\n"
            + users.joined()
    }
}
