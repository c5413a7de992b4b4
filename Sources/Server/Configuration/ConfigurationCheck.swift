import Base
import Broker

/// Reads a value tree into a `Configuration` and collects every problem on the way.
///
/// It never stops at a problem: the field keeps its default and reading goes on, so that one run
/// shows all of them. `finish` tells whether the result may be used.
struct ConfigurationCheck {
    private let file: String
    private let lines: ConfigurationLines
    private let root: [String: ConfigurationValue]
    private let environment: [String: String]
    private var found: [(line: Int, problem: ConfigurationProblem)] = []
    private(set) var configuration = Configuration()

    /// An element of a list with where it stands: `queue[0]`.
    private typealias Element<Target> = (path: String, value: Target)

    init(
        file: String,
        text: String,
        root: [String: ConfigurationValue],
        environment: [String: String]
    ) {
        self.file = file
        self.root = root
        self.environment = environment
        lines = ConfigurationLines(text)
    }

    /// Reads everything; the order matters only for `defaults`, which the queues start from.
    mutating func run() {
        checkSections()
        checkEnvironmentNames()
        section("storage", \.storage, ConfigurationKeys.storage)
        section("create", \.create, ConfigurationKeys.create)
        section("defaults", \.defaults, ConfigurationKeys.defaults)
        section("stomp", \.stomp, ConfigurationKeys.stomp)
        section("limits", \.limits, ConfigurationKeys.limits)
        section("auth", \.auth, ConfigurationKeys.auth)
        section("log", \.log, ConfigurationKeys.log)
        readListeners()
        checkPatterns()
        let defaults = configuration.defaults
        let queues = elements("queue", ConfigurationKeys.queue) { .init(defaults: defaults) }
        let topics = elements("topic", ConfigurationKeys.topic) { Configuration.Topic() }
        let fanouts = elements("fanout", ConfigurationKeys.fanout) { Configuration.Fanout() }
        configuration.queue = queues.map(\.value)
        configuration.topic = topics.map(\.value)
        configuration.fanout = fanouts.map(\.value)
        checkRules(queues.map { ($0.path, $0.value.name, $0.value.match) }, kind: "queue")
        checkRules(topics.map { ($0.path, $0.value.name, $0.value.match) }, kind: "topic")
        checkFanouts(fanouts)
        readPermits()
    }

    /// Takes in a command-line option that has its own check.
    mutating func use(listen texts: [String]) {
        if texts.isEmpty { return }
        configuration.listen = []
        for text in texts {
            guard let address = ListenAddress(parsing: text) else {
                report("--listen", "\"\(text)\": \(ConfigurationKeys.addressExpected)")
                continue
            }
            // Port 0 is another port each time.
            if address.port != 0, configuration.listen.contains(where: { $0.address == address }) {
                report("--listen", "\"\(text)\" is listened on twice")
                continue
            }
            var listener = Configuration.Listen()
            listener.address = address
            configuration.listen.append(listener)
        }
    }

    /// Takes in the data directory of the command line.
    mutating func use(data directory: String) {
        if directory.isEmpty { report("--data", "\"\": expected the path of a directory") }
        configuration.storage.directory = directory
    }

    /// The configuration, or every problem: the file's by line, then the others.
    consuming func finish() throws(ConfigurationError) -> Configuration {
        guard !found.isEmpty else { return configuration }
        let order = found.indices.sorted { (found[$0].line, $0) < (found[$1].line, $1) }
        throw ConfigurationError(problems: order.map { found[$0].problem })
    }

    // MARK: Reporting

    /// A problem at a path of the file.
    private mutating func report(at path: String, _ text: String) {
        let line = lines.line(of: path)
        found.append((line, ConfigurationProblem(place: "\(file):\(line)", text: text)))
    }

    /// A problem outside the file.
    private mutating func report(_ place: String, _ text: String) {
        found.append((.max, ConfigurationProblem(place: place, text: text)))
    }

    // MARK: Sections and keys

    private mutating func checkSections() {
        let sections = ConfigurationKeys.sections
        for name in root.keys.sorted() {
            if sections.contains(where: { $0.name == name }) { continue }
            if case .table = root[name] {
                report(at: name, "unknown table [\(name)]" + tableHint(for: name))
            } else if case .list(let elements) = root[name], case .table = elements.first {
                report(at: name, "unknown table [[\(name)]]" + tableHint(for: name))
            } else {
                report(at: name, "key \"\(name)\" stands outside of any table" + homes(of: name))
            }
        }
    }

    private func tableHint(for name: String) -> String {
        let sections = ConfigurationKeys.sections
        guard let nearest = Suggestion.nearest(to: name, among: sections.map(\.name)),
            let section = sections.first(where: { $0.name == nearest })
        else { return "; known: " + sections.map(\.header).joined(separator: ", ") }
        return "; did you mean \(section.header)?"
    }

    /// Says which tables have a key of this name.
    private func homes(of key: String) -> String {
        let homes = ConfigurationKeys.sections.filter { $0.supported.contains(key) }
        guard !homes.isEmpty else { return "" }
        return "; it belongs into " + homes.map(\.header).joined(separator: " or ")
    }

    private mutating func section<Target>(
        _ name: String,
        _ field: WritableKeyPath<Configuration, Target>,
        _ keys: [ConfigurationKey<Target>]
    ) {
        var target = configuration[keyPath: field]
        switch root[name] {
        case .table(let table): read(table, at: name, header: "[\(name)]", keys, into: &target)
        case nil: break
        case .string, .integer, .number, .boolean, .list, .other, .bare:
            report(at: name, "\(name) is one table, written [\(name)]")
        }
        readEnvironment(name, keys, into: &target)
        configuration[keyPath: field] = target
    }

    private mutating func elements<Target>(
        _ name: String,
        _ keys: [ConfigurationKey<Target>],
        start: () -> Target
    ) -> [Element<Target>] {
        guard let value = root[name] else { return [] }
        guard case .list(let list) = value else {
            report(at: name, "\(name) is a list of tables, each written [[\(name)]]")
            return []
        }
        var elements: [Element<Target>] = []
        for (index, value) in list.enumerated() {
            let path = "\(name)[\(index)]"
            guard case .table(let table) = value else {
                report(at: path, "\(name) is a list of tables, each written [[\(name)]]")
                continue
            }
            var target = start()
            read(table, at: path, header: "[[\(name)]]", keys, into: &target)
            elements.append((path, target))
        }
        return elements
    }

    private mutating func read<Target>(
        _ table: [String: ConfigurationValue],
        at path: String,
        header: String,
        _ keys: [ConfigurationKey<Target>],
        into target: inout Target
    ) {
        for (name, value) in table.sorted(by: { $0.key < $1.key }) {
            let place = "\(path).\(name)"
            guard let key = keys.first(where: { $0.name == name }) else {
                report(at: place, unknownKey(name, in: header, keys.map(\.name)))
                continue
            }
            switch key.reading {
            case .value(let read), .list(let read):
                if let expected = read(value, &target) {
                    report(at: place, "\(name) = \(value.written): \(expected)")
                }
            case .table(let read):
                for problem in read(value, &target) {
                    if problem.key.isEmpty {
                        report(at: place, "\(name) \(problem.text)")
                    } else {
                        report(at: "\(place).\(problem.key)", problem.text)
                    }
                }
            }
        }
    }

    private func unknownKey(_ name: String, in header: String, _ known: [String]) -> String {
        let hint = Suggestion.hint(for: name, among: known)
        return "unknown key \"\(name)\" in \(header)" + (hint.isEmpty ? homes(of: name) : hint)
    }

    // MARK: Environment

    private static let environmentPrefix = "RADIATOR_"

    private mutating func readEnvironment<Target>(
        _ section: String,
        _ keys: [ConfigurationKey<Target>],
        into target: inout Target
    ) {
        for key in keys {
            let variable = Self.environmentPrefix + "\(section)_\(key.name)".uppercased()
            guard let text = environment[variable] else { continue }
            switch key.reading {
            case .value(let read):
                if let expected = read(.bare(text), &target) {
                    report(variable, "\(text.prefix(80)): \(expected)")
                }
            case .table:
                report(variable, "a table cannot be set by the environment; set it in the file")
            case .list:
                report(variable, "a list cannot be set by the environment; set it in the file")
            }
        }
    }

    /// Finds misspelt variables.
    ///
    /// Those that belong to no section may be anybody's and are left alone.
    private mutating func checkEnvironmentNames() {
        for variable in environment.keys.sorted() {
            guard variable.hasPrefix(Self.environmentPrefix) else { continue }
            let rest = variable.dropFirst(Self.environmentPrefix.count)
            let section = ConfigurationKeys.sections.first {
                rest.hasPrefix($0.name.uppercased() + "_")
            }
            guard let section else { continue }
            let key = String(rest.dropFirst(section.name.count + 1))
            if Self.isFromKubernetes(key) { continue }
            if section.isList {
                report(variable, "\(section.header) cannot be set by the environment")
                continue
            }
            let known = section.supported.map { $0.uppercased() }
            guard !known.contains(key) else { continue }
            let prefix = Self.environmentPrefix + section.name.uppercased() + "_"
            report(
                variable,
                "sets no known key"
                    + Suggestion.hint(for: variable, among: known.map { prefix + $0 })
            )
        }
    }

    /// A Kubernetes service named `radiator-stomp` puts `RADIATOR_STOMP_PORT` and the like into every
    /// container beside it.
    private static func isFromKubernetes(_ key: String) -> Bool {
        key == "PORT" || key.hasPrefix("PORT_") || key.hasPrefix("SERVICE_")
    }

    // MARK: What belongs together

    private mutating func readListeners() {
        guard root["listen"] != nil else { return }
        let listeners = elements("listen", ConfigurationKeys.listen) { Configuration.Listen() }
        configuration.listen = listeners.map(\.value)
        if listeners.isEmpty { report(at: "listen", "at least one [[listen]] is needed") }
        var seen: Set<ListenAddress> = []
        for (index, listener) in listeners.enumerated() {
            guard case .list(let list) = root["listen"], case .table(let table) = list[index] else {
                continue
            }
            if table["address"] == nil {
                report(at: listener.path, "[[listen]] needs an address = \"HOST:PORT\"")
            } else if listener.value.address.port != 0,
                !seen.insert(listener.value.address).inserted
            {
                report(
                    at: listener.path + ".address",
                    "address \"\(listener.value.address)\" is listened on twice"
                )
            }
            if listener.value.protocol != .websocket, !listener.value.origins.isEmpty,
                !isReported(listener.path, ["protocol"])
            {
                report(
                    at: listener.path + ".origins",
                    "origins are for protocol = \"websocket\" only"
                )
            }
        }
    }

    /// Reads the files that listeners name.
    ///
    /// Blocks.
    mutating func readCertificates() {
        for (index, listen) in configuration.listen.enumerated() {
            guard let tls = listen.tls, !tls.certificate.isEmpty, !tls.key.isEmpty,
                case .failure(let problems) = TLSFiles.read(tls)
            else { continue }
            for problem in problems.list {
                report(at: "listen[\(index)].tls.\(problem.key)", "\(problem)")
            }
        }
    }

    private mutating func checkPatterns() {
        for pattern in configuration.create.allow {
            let kind = pattern.hasPrefix("/topic/") ? "topic" : "queue"
            guard let problem = ConfigurationNames.problem(pattern: pattern, kind: kind) else {
                continue
            }
            let text =
                pattern.hasPrefix("/queue/") || pattern.hasPrefix("/topic/")
                ? problem : "must begin with /queue/ or /topic/"
            report(at: "create.allow", "allow has \"\(pattern)\": \(text)")
        }
    }

    private mutating func checkRules(
        _ rules: [(path: String, name: String, match: String)],
        kind: String
    ) {
        var seen: [String: Int] = [:]
        for rule in rules {
            let field = rule.match.isEmpty ? "name" : "match"
            let text = rule.match.isEmpty ? rule.name : rule.match
            let place = "\(rule.path).\(field)"
            guard rule.name.isEmpty != rule.match.isEmpty else {
                if !isReported(rule.path, ["name", "match"]) {
                    report(at: rule.path, "[[\(kind)]] needs a name or a match, and not both")
                }
                continue
            }
            let problem =
                rule.match.isEmpty
                ? ConfigurationNames.problem(name: text, kind: kind)
                : ConfigurationNames.problem(pattern: text, kind: kind)
            if let problem { report(at: place, "\(field) = \"\(text)\": \(problem)") }
            if let first = seen[text] {
                report(at: place, "\(field) \"\(text)\" was already used on line \(first)")
            } else {
                seen[text] = lines.line(of: place)
            }
        }
    }

    private mutating func readPermits() {
        let permits = elements("permit", ConfigurationKeys.permit) { Configuration.Permit() }
        configuration.permit = permits.map(\.value)
        var seen: [String: Int] = [:]
        for (path, permit) in permits {
            if permit.user.isEmpty {
                guard !isReported(path, ["user"]) else { continue }
                report(at: path, "[[permit]] needs a user = \"NAME\", or \"*\" for all others")
            } else if let first = seen[permit.user] {
                report(
                    at: "\(path).user",
                    "user \"\(permit.user)\" was already used on line \(first)"
                )
            } else {
                seen[permit.user] = lines.line(of: "\(path).user")
            }
            checkPermitted(permit.send, .send, path)
            checkPermitted(permit.subscribe, .subscribe, path)
            checkPermitted(permit.create, .create, path)
        }
    }

    private mutating func checkPermitted(
        _ patterns: [String],
        _ right: Permissions.Right,
        _ path: String
    ) {
        for pattern in patterns {
            let kinds = right.kinds
            let problem: String?
            if let kind = kinds.first(where: pattern.hasPrefix) {
                let name = String(kind.dropFirst().dropLast())
                problem = ConfigurationNames.problem(pattern: pattern, kind: name)
            } else {
                let last = kinds.last ?? ""
                problem =
                    "must begin with " + kinds.dropLast().joined(separator: ", ") + " or \(last)"
            }
            guard let problem else { continue }
            report(at: "\(path).\(right)", "\(right) has \"\(pattern.prefix(300))\": \(problem)")
        }
    }

    /// True when one of these keys has been reported, so that a second message would only repeat it.
    private func isReported(_ path: String, _ keys: [String]) -> Bool {
        let places = keys.map { "\(path).\($0)" }.map(lines.line)
        let start = lines.line(of: path)
        return places.contains { place in place != start && found.contains { $0.line == place } }
    }

    private mutating func checkFanouts(_ fanouts: [Element<Configuration.Fanout>]) {
        checkRules(fanouts.map { ($0.path, $0.value.name, "") }, kind: "fanout")
        for (path, fanout) in fanouts {
            if fanout.children.isEmpty, !isReported(path, ["children"]) {
                report(at: "\(path).children", "[[fanout]] needs at least one queue in children")
            }
            var seen: Set<String> = []
            for child in fanout.children {
                let problem = childProblem(child, isNew: seen.insert(child).inserted)
                if let problem { report(at: "\(path).children", "child \"\(child)\": \(problem)") }
            }
        }
    }

    private func childProblem(_ child: String, isNew: Bool) -> String? {
        guard isNew else { return "is listed twice" }
        if let problem = ConfigurationNames.problem(name: child, kind: "queue") { return problem }
        let names = configuration.queue.map(\.name)
        let patterns = configuration.queue.map(\.match) + configuration.create.allow
        let isKnown =
            names.contains(child)
            || patterns.contains {
                ConfigurationNames.matches($0, child)
            }
        guard !isKnown else { return nil }
        return "is no [[queue]], and no match or [create] allow covers it"
            + Suggestion.hint(for: child, among: names.filter { !$0.isEmpty })
    }
}
