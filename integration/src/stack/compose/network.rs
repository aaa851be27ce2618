//! Takes a container off its networks, and puts it back under the same names and addresses, as when
//! a cable is pulled out and plugged in again. Nothing in the container is changed.

use serde_json::Value;

use super::{Compose, refused, run};
use crate::stack::ControlError;

/// The networks that a container was taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    container: String,
    /// The arguments of the commands that put it back, one command for each network.
    connects: Vec<Vec<String>>,
}

impl Compose {
    /// Takes a part off all its networks.
    ///
    /// # Errors
    /// When the part has no container or is on no network, or the engine refuses it.
    pub async fn disconnect(&self, name: &str) -> Result<Networks, ControlError> {
        let id = self.container(name).await?;
        let inspected = run("docker", &["inspect", &id], &self.files).await?;
        let containers: Value = serde_json::from_str(&inspected)
            .map_err(|error| refused("docker inspect", error.to_string()))?;
        let attached = attached(&containers[0]["NetworkSettings"]["Networks"]);
        if attached.is_empty() {
            return Err(refused(&format!("disconnect {name}"), "it is on no network".to_owned()));
        }
        for (network, _) in &attached {
            run("docker", &["network", "disconnect", network, &id], &self.files).await?;
        }
        let connects = attached.into_iter().map(|(_, connect)| connect).collect();
        Ok(Networks { container: id, connects })
    }

    /// Puts a part back on the networks that it was taken off.
    ///
    /// # Errors
    /// When the engine refuses it, for example because another container has its address.
    pub async fn connect(&self, networks: &Networks) -> Result<(), ControlError> {
        for connect in &networks.connects {
            let words = connect.iter().map(String::as_str);
            let words: Vec<_> = words.chain([networks.container.as_str()]).collect();
            run("docker", &words, &self.files).await?;
        }
        Ok(())
    }
}

/// The networks of a container, each with the words of the command that puts it back. The engine
/// accepts an address only on a network whose subnet is configured.
fn attached(networks: &Value) -> Vec<(String, Vec<String>)> {
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let one = |(network, endpoint): (&String, &Value)| {
        let mut words = vec!["network".to_owned(), "connect".to_owned()];
        for alias in texts(&endpoint["Aliases"]) {
            words.extend(["--alias".to_owned(), alias]);
        }
        if let Some(address) = endpoint["IPAddress"].as_str().filter(|address| !address.is_empty())
        {
            words.extend(["--ip".to_owned(), address.to_owned()]);
        }
        words.push(network.clone());
        (network.clone(), words)
    };
    networks.as_object().into_iter().flatten().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_gets_its_names_and_addresses_back() {
        let networks = serde_json::json!({
            "p_default": { "Aliases": ["order", "p-order-1"], "IPAddress": "10.213.88.7" },
            "p_edge": { "Aliases": null, "IPAddress": "" },
        });
        let attached = attached(&networks);
        let commands: Vec<_> = attached.iter().map(|(_, words)| words.join(" ")).collect();
        assert_eq!(
            commands,
            [
                "network connect --alias order --alias p-order-1 --ip 10.213.88.7 p_default",
                "network connect p_edge",
            ]
        );
    }
}
