import Base
import Logging

/// A value as it stands in a configuration file.
protocol ConfigurationWritten {
    /// In TOML; nil where nothing is set.
    var written: String? { get }
}

extension String: ConfigurationWritten {
    var written: String? {
        let escaped = map { character in
            switch character {
            case "\\": "\\\\"
            case "\"": "\\\""
            case "\n": "\\n"
            case "\t": "\\t"
            default: String(character)
            }
        }
        return "\"" + escaped.joined() + "\""
    }
}

extension Int: ConfigurationWritten {
    var written: String? { "\(self)" }
}

extension Double: ConfigurationWritten {
    var written: String? { "\(self)" }
}

extension Bool: ConfigurationWritten {
    var written: String? { "\(self)" }
}

extension Optional: ConfigurationWritten where Wrapped: ConfigurationWritten {
    var written: String? { flatMap(\.written) }
}

extension Interval: ConfigurationWritten {
    var written: String? { "\"\(self)\"" }
}

extension ByteCount: ConfigurationWritten {
    /// The largest unit that divides it, for the value must come back as it is.
    var written: String? {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        for (name, shift) in units where bytes > 0 && bytes % (1 << shift) == 0 {
            return "\"\(bytes >> shift)\(name)\""
        }
        return bytes == 0 ? "\"0\"" : "\"\(bytes)B\""
    }
}

extension ListenAddress: ConfigurationWritten {
    var written: String? { description.written }
}

extension Configuration.Fsync: ConfigurationWritten {
    var written: String? {
        switch self {
        case .always: "\"always\""
        case .every(let interval): interval.written
        case .never: "\"never\""
        }
    }
}

extension Array: ConfigurationWritten where Element: ConfigurationWritten {
    var written: String? { "[" + compactMap(\.written).joined(separator: ", ") + "]" }
}

extension Configuration {
    /// One key with its value, as `section.key`; of a list `section[0].key`.
    struct Setting: Equatable {
        let path: String
        let written: String
    }

    /// Every key that is set, in the order of the example file.
    var settings: [[Setting]] {
        var all = [
            Self.settings("storage", ConfigurationKeys.storage, storage)
        ]
        all += listen.indices.map {
            Self.settings("listen[\($0)]", ConfigurationKeys.listen, listen[$0])
        }
        all += [
            Self.settings("create", ConfigurationKeys.create, create),
            Self.settings("defaults", ConfigurationKeys.defaults, defaults),
        ]
        all += queue.indices.map {
            Self.settings("queue[\($0)]", ConfigurationKeys.queue, queue[$0])
        }
        all += fanout.indices.map {
            Self.settings("fanout[\($0)]", ConfigurationKeys.fanout, fanout[$0])
        }
        all += topic.indices.map {
            Self.settings("topic[\($0)]", ConfigurationKeys.topic, topic[$0])
        }
        all += [
            Self.settings("stomp", ConfigurationKeys.stomp, stomp),
            Self.settings("limits", ConfigurationKeys.limits, limits),
            Self.settings("auth", ConfigurationKeys.auth, auth),
        ]
        all += permit.indices.map {
            Self.settings("permit[\($0)]", ConfigurationKeys.permit, permit[$0])
        }
        all += [
            Self.settings("log", ConfigurationKeys.log, log)
        ]
        return all
    }

    private static func settings<Target>(
        _ section: String,
        _ keys: [ConfigurationKey<Target>],
        _ target: Target
    ) -> [Setting] {
        keys.compactMap { key in
            guard let written = key.written(target), written != "\"\"" || key.showsEmpty else {
                return nil
            }
            return Setting(path: "\(section).\(key.name)", written: written)
        }
    }

    /// The whole configuration as a file that means the same.
    package var toml: String {
        var lines: [String] = []
        for section in settings {
            guard let first = section.first else { continue }
            let name = first.path.prefix { $0 != "." && $0 != "[" }
            let isList = first.path.dropFirst(name.count).hasPrefix("[")
            if !lines.isEmpty { lines.append("") }
            lines.append(isList ? "[[\(name)]]" : "[\(name)]")
            for setting in section {
                let key = setting.path.split(separator: ".").last ?? ""
                lines.append("\(key) = \(setting.written)")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: Changes

    /// What a reload brings.
    package struct Changes: Sendable, Equatable {
        /// Keys that hold from now on.
        package var applied: [String] = []
        /// Keys that hold after a restart.
        package var needRestart: [String] = []
        package var unchangedCount = 0
    }

    /// Compares this configuration with a newer one.
    package func changes(to newer: Configuration) -> Changes {
        let (old, new) = (named, newer.named)
        let entries = (Set(old.keys.map(Self.entry)), Set(new.keys.map(Self.entry)))
        var changes = Changes()
        var told: Set<Substring> = []
        for path in Set(old.keys).union(new.keys).sorted() {
            let entry = Self.entry(path)
            if old[path] == new[path] {
                changes.unchangedCount += 1
            } else if !entries.0.contains(entry) || !entries.1.contains(entry) {
                // A table that came or went is told by its name alone.
                guard told.insert(entry).inserted else { continue }
                let isLive = Self.isLive(entry + ".name")
                if isLive { changes.applied.append(String(entry)) }
                if !isLive { changes.needRestart.append(String(entry)) }
            } else if Self.isLive(path[...]) || Self.isOtherFiles(path, old, new) {
                changes.applied.append(path)
            } else {
                changes.needRestart.append(path)
            }
        }
        return changes
    }

    /// Every key that is set with its value; of a list by what names the entry, wherever it stands:
    /// `queue[/queue/a].prefetch`.
    private var named: [String: String] {
        var named: [String: String] = [:]
        var entries: Set<String> = []
        for section in settings {
            guard let first = section.first else { continue }
            var entry = String(first.path.prefix { $0 != "." && $0 != "[" })
            if first.path.contains("[") {
                let values = Dictionary(
                    section.map { ($0.path.split(separator: ".").last ?? "", $0.written) },
                    uniquingKeysWith: { first, _ in first }
                )
                let name = ["name", "match", "user", "address"].lazy.compactMap { values[$0] }.first
                entry += "[" + (name ?? "").filter { $0 != "\"" } + "]"
                // Only port 0 may be there several times.
                while !entries.insert(entry).inserted { entry += "'" }
            }
            for setting in section {
                let key = setting.path.split(separator: ".").last ?? ""
                named["\(entry).\(key)"] = setting.written
            }
        }
        return named
    }

    /// The table that a key stands in: `storage`, `queue[/queue/a]`.
    private static func entry(_ path: String) -> Substring {
        guard let last = path.lastIndex(of: ".") else { return path[...] }
        return path[..<last]
    }

    /// This configuration with what a newer one can change while the daemon runs.
    func taking(_ newer: Configuration) -> Configuration {
        var taken = self
        taken.create = newer.create
        taken.topic = newer.topic
        taken.fanout = newer.fanout
        taken.auth = newer.auth
        taken.permit = newer.permit
        taken.limits = newer.limits
        taken.stomp = newer.stomp
        taken.log = newer.log
        taken.defaults = newer.defaults
        taken.defaults.storage = defaults.storage
        var others = newer.listen
        for index in taken.listen.indices {
            // What is said of another address is not for this listener.
            guard let other = others.firstIndex(where: taken.listen[index].isSame) else { continue }
            taken.listen[index].take(others.remove(at: other))
        }
        taken.queue = newer.queue.map { rule in
            let old = queue.first { $0.name == rule.name && $0.match == rule.match }
            var rule = rule
            rule.storage = old?.storage ?? rule.storage
            return rule
        }
        return taken
    }

    /// Whether a listener has TLS as before, from other files.
    private static func isOtherFiles(
        _ path: String,
        _ old: [String: String],
        _ new: [String: String]
    ) -> Bool {
        path.hasPrefix("listen[") && path.hasSuffix(".tls") && old[path] != nil && new[path] != nil
    }

    /// Whether a key can change while the daemon runs.
    private static func isLive(_ path: Substring) -> Bool {
        let section = path.prefix { $0 != "." && $0 != "[" }
        switch section {
        case "create", "topic", "fanout", "auth", "permit", "stomp", "limits", "log": return true
        case "defaults", "queue": return !path.hasSuffix(".storage")
        case "listen": return path.hasSuffix(".origins")
        default: return false
        }
    }
}

extension Configuration.Listen {
    fileprivate func isSame(_ other: Self) -> Bool {
        self.protocol == other.protocol && address == other.address
    }

    /// Takes what can change while it listens; whether there is TLS at all cannot.
    fileprivate mutating func take(_ newer: Self) {
        origins = newer.origins
        if tls != nil, let newer = newer.tls { tls = newer }
    }
}
