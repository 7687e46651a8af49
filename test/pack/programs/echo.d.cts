export declare function check (websocket: unknown, named: unknown): Promise<void>
